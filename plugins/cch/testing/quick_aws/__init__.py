"""A stand-in for AWS that takes little CPU: the real protocols over the program's own table and queues in memory.

It knows what the program asks of AWS, and refuses everything else in AWS's words. moto's server (``aws_server``) knows
far more of AWS and is what the guarantees are tested on; this one is for measurements (docs/adr/0039).
"""

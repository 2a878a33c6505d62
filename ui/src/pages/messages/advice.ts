import type { MessageState } from "../../api/queries";

export const STATES = ["orphan", "malformed", "late", "rejected", "held"] as const satisfies readonly MessageState[];

/** What each state means, and what to do. */
export const ADVICE: Record<MessageState, string> = {
  orphan:
    "Nobody asked for these, or they name an unknown instance. Usually the service left out inReplyTo: open one and attach it to the request that it answers.",
  malformed: "These cannot be read. Show the text to the service that sent it; it has to send a right one.",
  late: "Their request had timed out, or their instance had ended. If another request waits for the same answer, attach it there.",
  rejected: "These were readable, but not acceptable; the reason says why. Correct it and send it again.",
  held: "These wait for a step that takes them. After a minute somebody should look: open one for the reason, and attach it to what it belongs to.",
};

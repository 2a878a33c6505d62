import { useHealth } from "../api/queries";
import { Answer } from "../parts/notices";
import { duration, Span, Time } from "../parts/time";
import { words } from "../parts/words";

export default function Health() {
  const answer = useHealth();
  return (
    <>
      <header className="page">
        <h1>Health</h1>
      </header>
      <Answer of={answer}>
        {(health) => (
          <>
            <p className="facts">
              <span className="state" data-state={health.status === "ok" ? "SUCCEEDED" : "FAILED"}>
                {health.status}
              </span>
              <span>version {health.version}</span>
              <span>Airflow {health.airflow_version}</span>
              <span>{health.environment}</span>
              <span className="muted">
                looked at <Time at={health.at} />
              </span>
            </p>
            <table className="rows checks">
              <thead>
                <tr>
                  <th scope="col">Check</th>
                  <th scope="col">Result</th>
                  <th scope="col">Detail</th>
                </tr>
              </thead>
              <tbody>
                {health.checks.map((check) => (
                  <tr key={check.name}>
                    <th scope="row">{words(check.name)}</th>
                    <td>
                      <span className="state" data-state={check.ok ? "SUCCEEDED" : "FAILED"}>
                        {check.ok ? "✓ ok" : "✕ not ok"}
                      </span>
                    </td>
                    <td className="wide">{check.detail}</td>
                  </tr>
                ))}
              </tbody>
            </table>
            <div className="columns">
              <section>
                <h2>Queues</h2>
                <ul className="plain">
                  {health.queues.map((queue) => (
                    <li key={queue.name}>
                      <code>{queue.name}</code> {queue.messages ?? "?"} waiting, {queue.in_flight ?? "?"} in flight
                    </li>
                  ))}
                </ul>
                <p className="muted">
                  {health.pending_starts ?? "?"}{" "}
                  {health.pending_starts === 1 ? "start waits for its" : "starts wait for their"} run
                  {health.oldest_command_seconds !== null &&
                    `, the oldest for ${duration(health.oldest_command_seconds)}`}
                  .
                </p>
              </section>
              <section>
                <h2>Routers</h2>
                <ul className="plain">
                  {health.routers.map((router) => (
                    <li key={router.id}>
                      <code>{router.id.slice(0, 12)}</code> seen <Span since={router.seen} /> ago, {router.waiters}{" "}
                      waiting
                    </li>
                  ))}
                </ul>
              </section>
            </div>
          </>
        )}
      </Answer>
    </>
  );
}

import { screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";

import { serve, show } from "../test/server";
import Messages from "./Messages";

const MESSAGE = {
  id: "q:1",
  state: "orphan",
  kind: "ASYNC_RESP",
  queue: "replies",
  reason: "no instance",
  instance_id: "gone",
  workflow_id: "",
  capability: "customs#ask",
  branch: "",
  command_id: "x",
  received: "2026-01-05T08:00:00Z",
};
const CANDIDATE = {
  command_id: "c-1",
  instance_id: "i1",
  node: "Ask",
  capability: "customs#ask",
  branch: "",
  since: "2026-01-05T08:00:00Z",
  exact: false,
};

describe("messages", () => {
  it("of nobody are attached to the chosen request, with force where they name another", async () => {
    const asked = serve({
      "GET /messages": { items: [MESSAGE], next_cursor: null },
      "GET /messages/q%3A1": { ...MESSAGE, body: '{"a": 1}', attachable: true, candidates: [CANDIDATE] },
      "POST /messages/q%3A1/attach": { command_id: "c-1", instance_id: "i1", message_id: "q:1", state: "matched" },
    });

    show(<Messages />);
    await userEvent.click(await screen.findByRole("button", { name: "reply" }));
    await userEvent.click(await screen.findByRole("radio"));
    await userEvent.click(screen.getByRole("button", { name: "Attach all the same" }));

    const sent = asked.find(({ method }) => method === "POST");
    expect(sent?.body).toEqual({ command_id: "c-1", force: true });
  });

  it("that came too late are taken as the answer of a retry, after a preview", async () => {
    const late = { ...MESSAGE, state: "late", instance_id: "i1" };
    const view = { done: false, before: [], after: ["Ask"], set_aside: ["Ask#1"], superseded: [] };
    const asked = serve({
      "GET /messages": { items: [late], next_cursor: null },
      "GET /messages/q%3A1": {
        ...late,
        body: "{}",
        candidates: [],
        late_for: { instance_id: "i1", node: "Ask", visit: 1 },
      },
      "GET /instances/i1": { id: "i1", requests: [], event_waits: [] },
      "POST /instances/i1/retry": view,
    });

    show(<Messages />);
    await userEvent.click(await screen.findByRole("button", { name: "reply" }));
    await userEvent.click(await screen.findByRole("button", { name: "Retry with this answer" }));
    await userEvent.click(await screen.findByRole("button", { name: "Preview" }));
    expect(await screen.findByText("Ask, visit 1")).toBeVisible();
    await userEvent.click(screen.getByRole("button", { name: "Retry" }));

    const sent = asked.filter(({ method }) => method === "POST").map(({ body }) => body);
    const wish = { node: "Ask", visit: 1, adopt: "q:1", reason: "" };
    expect(sent).toEqual([{ ...wish, dry_run: true }, wish]);
  });
});

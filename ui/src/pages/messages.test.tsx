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
});

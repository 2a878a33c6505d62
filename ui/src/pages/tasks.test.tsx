import { screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";

import { problem, serve, show } from "../test/server";
import Tasks from "./Tasks";

const task = (over: object = {}) => ({
  id: "w1",
  instance_id: "i1",
  workflow_id: "w",
  workflow_name: "Import",
  correlation_id: "BOL-7",
  node: "Decide",
  title: "Decide",
  description: "",
  event_key: "decision",
  branch: "",
  branch_path: [],
  since: "2026-01-05T08:00:00Z",
  deadline: null,
  payload_schema: {
    type: "object",
    required: ["decision"],
    properties: { decision: { type: "string", title: "Decision", enum: ["CLEAR", "BLOCK"] } },
  },
  can_act: true,
  ...over,
});

const RECEIPT = { event_id: "e", message_id: "m", state: "matched", waiting: 1 };

describe("human tasks", () => {
  it("are answered with a form made from the schema, under one event id however often it is sent", async () => {
    let failed = false;
    const asked = serve({
      "GET /tasks": { items: [task()], next_cursor: null },
      "POST /instances/i1/events": () => {
        if (failed) return RECEIPT;
        failed = true;
        return problem(503, "AWS does not answer.");
      },
    });

    show(<Tasks />);
    await userEvent.click(await screen.findByRole("button", { name: "Answer" }));
    await userEvent.selectOptions(await screen.findByLabelText(/Decision/), "CLEAR");
    await userEvent.click(screen.getByRole("button", { name: "Send" }));
    expect(await screen.findByText("AWS does not answer.")).toBeInTheDocument();
    await userEvent.click(screen.getByRole("button", { name: "Send" }));

    expect(await screen.findByText("Sent.")).toBeInTheDocument();
    const sent = asked.filter(({ method }) => method === "POST").map(({ body }) => body as { event_id: string });
    expect(sent[0]).toMatchObject({ payload: { decision: "CLEAR" } });
    expect(sent[1]?.event_id).toBe(sent[0]?.event_id);
  });

  it("without a schema take JSON, and say what is wrong with it", async () => {
    serve({ "GET /tasks": { items: [task({ payload_schema: null })], next_cursor: null } });

    show(<Tasks />);
    await userEvent.click(await screen.findByRole("button", { name: "Answer" }));
    const field = await screen.findByLabelText("JSON");
    await userEvent.clear(field);
    await userEvent.type(field, "[[");

    await waitFor(() => expect(field).toBeInvalid());
  });

  it("cannot be answered by somebody who may only look", async () => {
    serve({ "GET /tasks": { items: [task({ can_act: false })], next_cursor: null } });

    show(<Tasks />);

    expect(await screen.findByText("BOL-7")).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "Answer" })).not.toBeInTheDocument();
  });
});

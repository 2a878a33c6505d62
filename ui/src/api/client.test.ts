import { serve, problem } from "../test/server";
import { ApiError, get, post, query } from "./client";

describe("the API's client", () => {
  it("sends the ETag of the last answer, and gives the same object for a 304", async () => {
    const asked = serve({
      "GET /things": ({ headers }) =>
        headers.get("If-None-Match") === 'W/"1"'
          ? new Response(null, { status: 304 })
          : new Response('{"a": 1}', { headers: { ETag: 'W/"1"' } }),
    });

    const first = await get("/things");
    const second = await get("/things");

    expect(asked).toHaveLength(2);
    expect(second).toBe(first);
  });

  it("sends the header that no other site can send with everything that changes something", async () => {
    const asked = serve({ "POST /instances": { id: "i" } });

    await post("/instances", { workflow_id: "w" });

    expect(asked[0]?.headers.get("X-CCH-Request")).toBe("1");
    expect(asked[0]?.body).toEqual({ workflow_id: "w" });
  });

  it("turns problem+json into an error with its fields", async () => {
    serve({ "GET /bad": () => problem(422, "It is wrong.", [{ location: "query.x", message: "too long" }]) });

    const error = await get("/bad").catch((caught: unknown) => caught);

    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 422, message: "It is wrong.", fields: [{ location: "query.x" }] });
  });

  it("leaves empty filters out and repeats lists", () => {
    expect(query({ a: "", state: ["X", "Y"], n: 3, none: null })).toBe("?state=X&state=Y&n=3");
  });
});

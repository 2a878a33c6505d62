import { path } from "./Route";

describe("the path of an edge", () => {
  it("has round corners, and stays on the line where they are too near", () => {
    const drawn = path([
      { x: 0, y: 0 },
      { x: 0, y: 20 },
      { x: 4, y: 20 },
    ]);

    expect(drawn).toBe("M 0 0 L 0 12 Q 0 20 2 20 L 4 20");
  });
});

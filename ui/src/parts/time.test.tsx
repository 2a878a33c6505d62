import { render, screen } from "@testing-library/react";

import { duration, Time } from "./time";

describe("times", () => {
  it.each([
    [0.42, "0.4 s"],
    [61, "1 min 1 s"],
    [3600, "1 h"],
    [90_061, "1 d 1 h"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it("say the exact UTC on hover", () => {
    render(<Time at="2026-01-05T08:00:00.123Z" />);

    expect(screen.getByTitle("2026-01-05 08:00:00.123 UTC")).toBeInTheDocument();
  });
});

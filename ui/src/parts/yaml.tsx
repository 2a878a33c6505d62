import { useEffect, useRef, type ReactNode } from "react";

import type { Schemas } from "../api/client";

type Problem = Schemas["DefinitionProblem"];

/** Indent and dashes, key, the rest; or a comment. Enough to read by; it need not understand YAML. */
const LINE = /^(\s*(?:- )*)("[^"]*"|[\w.#/-]+)(:)(\s.*|)$/;
const COMMENT = /(^|\s)#\s.*$/;

function colored(line: string): ReactNode {
  const comment = COMMENT.exec(line)?.[0] ?? "";
  const text = comment ? line.slice(0, -comment.length) : line;
  const [, indent, key, colon, rest] = LINE.exec(text) ?? [];
  return (
    <>
      {key ? (
        <>
          {indent}
          <span className="key">{key}</span>
          {colon}
          {rest}
        </>
      ) : (
        text
      )}
      {comment && <span className="muted">{comment}</span>}
    </>
  );
}

function Remark({ problem }: { problem: Problem }) {
  return (
    <div className="remark" data-severity={problem.severity}>
      <strong>
        {problem.severity} {problem.code}
      </strong>{" "}
      {problem.message} {problem.hint && <em>{problem.hint}</em>}
    </div>
  );
}

/** A definition with its problems under the lines where they are. */
export function Yaml({ text, problems, line: wanted }: { text: string; problems: Problem[]; line: number }) {
  const shown = useRef<HTMLDivElement>(null);
  useEffect(() => shown.current?.scrollIntoView({ block: "center" }), [wanted]);
  const at = (line: number) => problems.filter((problem) => problem.line === line);
  return (
    // A region that scrolls must be reachable by the keyboard.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="yaml" tabIndex={0} role="region" aria-label="Text of the definition">
      {at(0).map((problem) => (
        <Remark key={problem.code + problem.message} problem={problem} />
      ))}
      {text.split("\n").map((line, index) => {
        const here = at(index + 1);
        return (
          <div key={index} ref={index + 1 === wanted ? shown : undefined} data-wanted={index + 1 === wanted}>
            <div className="line" data-severity={here[0]?.severity}>
              <span className="line-number">{index + 1}</span>
              <code>{colored(line)}</code>
            </div>
            {here.map((problem) => (
              <Remark key={problem.code + problem.message} problem={problem} />
            ))}
          </div>
        );
      })}
    </div>
  );
}

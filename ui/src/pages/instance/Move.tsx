import { useState } from "react";

import type { Schemas } from "../../api/client";
import { useMove, useVersions } from "../../api/queries";
import { Answer } from "../../parts/notices";
import { nameOf, shown, what } from "../../parts/version";
import { Plan, PreviewForm, Reason } from "./Plan";

type Detail = Schemas["InstanceDetail"];

/** `Old=New`, one a line; `wrong` is the first line that is not so. */
export function renamesOf(text: string): { renames: Record<string, string>; wrong: string } {
  const lines = text.split("\n").flatMap((line) => line.trim() || []);
  const pairs = lines.map((line) => line.split("=").map((name) => name.trim()));
  const wrong = pairs.findIndex((pair) => pair.length !== 2 || pair.includes(""));
  return { renames: Object.fromEntries(pairs) as Record<string, string>, wrong: lines[wrong] ?? "" };
}

interface TargetProps {
  versions: Schemas["VersionView"][];
  version: string;
  setVersion: (version: string) => void;
  text: string;
  setText: (text: string) => void;
}

/** Which version, and how steps are called there. */
export function Target({ versions, version, setVersion, text, setText }: TargetProps) {
  const { wrong } = renamesOf(text);
  return (
    <>
      <label>
        To version
        <select value={version} onChange={(event) => setVersion(event.target.value)}>
          {versions.map((each) => (
            <option key={each.digest} value={nameOf(each)}>
              {[shown(each), what(each), each.note].filter(Boolean).join(" · ")}
            </option>
          ))}
        </select>
      </label>
      <label>
        Renamed steps
        <textarea
          rows={3}
          className="code"
          spellCheck={false}
          value={text}
          placeholder="Old_Name=New_Name, one a line"
          aria-invalid={wrong !== ""}
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      {wrong && (
        <p className="problem" role="alert">
          Write Old=New: {wrong}
        </p>
      )}
    </>
  );
}

interface FormProps {
  versions: Schemas["VersionView"][];
  plan: ReturnType<typeof useMove>;
}

function MoveForm({ versions, plan }: FormProps) {
  const start = versions.find((each) => each.current) ?? versions[0];
  const [version, setVersion] = useState(start ? nameOf(start) : "");
  const [text, setText] = useState("");
  const [reason, setReason] = useState("");
  const { renames, wrong } = renamesOf(text);
  if (!start) return <p>Its workflow has no other version.</p>;
  return (
    <PreviewForm
      pending={plan.preview.isPending}
      error={plan.preview.error}
      ask={() => !wrong && plan.preview.mutate({ version, renames, reason })}
    >
      <Target versions={versions} version={version} setVersion={setVersion} text={text} setText={setText} />
      <Reason value={reason} change={setReason} />
    </PreviewForm>
  );
}

interface MoveProps {
  detail: Detail;
  title: string;
  close: () => void;
}

/** Moves an instance to another version of its workflow. */
export function MoveDialog({ detail, title, close }: MoveProps) {
  const plan = useMove(detail.id);
  const versions = useVersions(detail.workflow_id);
  return (
    <Plan title={title} action="Move" detail={detail} plan={plan} close={close}>
      <p className="muted">
        It goes on by the other version from where it stands. What is over stays as it was recorded.
      </p>
      <Answer of={versions}>
        {({ items }) => (
          <MoveForm versions={items.filter((each) => each.digest !== detail.definition_digest)} plan={plan} />
        )}
      </Answer>
    </Plan>
  );
}

import { useEffect } from "react";

import type { Schemas } from "../../api/client";
import { useVersions } from "../../api/queries";
import { Answer } from "../../parts/notices";
import { nameOf } from "../../parts/version";
import { renamesOf, Target } from "../instance/Move";

export type Kind = "retry" | "decide" | "patch" | "hold" | "release" | "cancel" | "move";

export const KINDS: Record<Kind, string> = {
  retry: "Retry from a step",
  decide: "Decide a step by hand",
  patch: "Patch the context",
  hold: "Hold",
  release: "Release",
  cancel: "Cancel",
  move: "Move to another version",
};

type Version = Schemas["VersionView"];
type Verdict = Schemas["DecideAction"]["verdict"];

/** What is written into the dialog; each action takes its part of it. */
export interface Written {
  kind: Kind;
  node: string;
  verdict: Verdict;
  edge: string;
  version: string;
  renames: string;
}

/** Whether the action takes a JSON object besides. */
export const takesJson = ({ kind, verdict }: Written) =>
  kind === "patch" || (kind === "decide" && verdict === "completed");

/** The action as the API takes it; null: something is not written as it must be. */
export function actionOf(written: Written, json: Record<string, unknown>): object | null {
  const { kind, node, verdict, edge, version } = written;
  switch (kind) {
    case "retry":
      return { kind, node };
    case "decide":
      return { kind, node, verdict, edge, payload: takesJson(written) ? json : {} };
    case "patch":
      return { kind, patch: json, nodes: node ? [node] : [] };
    case "move": {
      const { renames, wrong } = renamesOf(written.renames);
      return wrong ? null : { kind, version, renames };
    }
    case "hold":
    case "release":
    case "cancel":
      return { kind };
  }
}

interface FieldsProps {
  workflow: string;
  written: Written;
  change: (part: Partial<Written>) => void;
}

/** Chooses the published version, until somebody chooses another one. */
function ChosenVersion({ versions, written, change }: Omit<FieldsProps, "workflow"> & { versions: Version[] }) {
  const start = versions.find((each) => each.current) ?? versions[0];
  const first = start ? nameOf(start) : "";
  useEffect(() => {
    if (!written.version && first) change({ version: first });
  }, [written.version, first, change]);
  return (
    <Target
      versions={versions}
      version={written.version}
      setVersion={(version) => change({ version })}
      text={written.renames}
      setText={(renames) => change({ renames })}
    />
  );
}

const VersionFields = ({ workflow, ...rest }: FieldsProps) => (
  <Answer of={useVersions(workflow)}>{({ items }) => <ChosenVersion versions={items} {...rest} />}</Answer>
);

const Step = ({ written, change, hint }: Omit<FieldsProps, "workflow"> & { hint: string }) => (
  <label>
    Step
    <input value={written.node} placeholder={hint} onChange={(event) => change({ node: event.target.value.trim() })} />
  </label>
);

const WHERE_FAILED = "of each the one at which it has failed";

/** The fields of the chosen action. */
export function Fields({ workflow, written, change }: FieldsProps) {
  switch (written.kind) {
    case "retry":
      return <Step written={written} change={change} hint={WHERE_FAILED} />;
    case "patch":
      return <Step written={written} change={change} hint="needed if they stand at several" />;
    case "move":
      return workflow ? (
        <VersionFields workflow={workflow} written={written} change={change} />
      ) : (
        <p>Each workflow has versions of its own: search for the instances of one workflow.</p>
      );
    case "decide":
      return (
        <>
          <Step written={written} change={change} hint={WHERE_FAILED} />
          <label>
            Verdict
            <select value={written.verdict} onChange={(event) => change({ verdict: event.target.value as Verdict })}>
              <option value="completed">completed: it has done its work</option>
              <option value="skipped">skipped: it is passed by</option>
              <option value="failed">failed</option>
            </select>
          </label>
          <label>
            Way
            <input
              value={written.edge}
              placeholder="the usual one"
              onChange={(event) => change({ edge: event.target.value.trim() })}
            />
          </label>
        </>
      );
    case "hold":
    case "release":
    case "cancel":
      return null;
  }
}

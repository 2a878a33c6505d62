import { lazy, Suspense, useState } from "react";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";

import type { Schemas } from "../api/client";
import { useStart, useWorkflow } from "../api/queries";
import { AirflowLink } from "../parts/airflow-link";
import { ContractFacts } from "../parts/contract";
import { Dialog } from "../parts/dialog";
import { Answer, Degraded, Empty, Loading } from "../parts/notices";
import { Tabs } from "../parts/tabs";
import { Yaml } from "../parts/yaml";
import { HoldOf } from "./HoldOf";
import { Figures } from "./workflow/Figures";
import { Versions } from "./workflow/Versions";

const Graph = lazy(() => import("../graph/Graph"));
const JsonForm = lazy(() => import("../parts/json-form"));

type Detail = Schemas["WorkflowDetail"];

function Start({ workflow }: { workflow: Detail }) {
  const [id, setId] = useState("");
  const [key, setKey] = useState("");
  const [version, setVersion] = useState("");
  const start = useStart();
  const navigate = useNavigate();
  // The id is made when the form opens: to press the button twice starts one instance.
  const open = () => setId(`ui-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`);
  return (
    <>
      <button type="button" className="primary" onClick={open}>
        Start
      </button>
      {id && (
        <Dialog title={`Start: ${workflow.name}`} close={() => setId("")}>
          <div className="dialog-body">
            <label>
              Business key
              <input
                value={key}
                maxLength={200}
                placeholder="e.g. a bill of lading"
                onChange={(event) => setKey(event.target.value)}
              />
            </label>
            <label>
              Version
              <input
                value={version}
                maxLength={200}
                placeholder="empty: what is published"
                onChange={(event) => setVersion(event.target.value)}
              />
            </label>
            <Suspense fallback={<Loading />}>
              <JsonForm
                schema={workflow.start_schema}
                start={{}}
                action="Start"
                pending={start.isPending}
                error={start.error}
                send={(context) =>
                  start.mutate(
                    {
                      workflow_id: workflow.workflow_id,
                      context,
                      correlation_id: key.trim(),
                      version: version.trim(),
                      instance_id: id,
                    },
                    { onSuccess: (made) => void navigate(`/instances/${made.id}`) },
                  )
                }
              />
            </Suspense>
          </div>
        </Dialog>
      )}
    </>
  );
}

function GraphTab({ workflow, openLine }: { workflow: Detail; openLine: (line: number) => void }) {
  const [selected, setSelected] = useState<string | null>(null);
  if (!workflow.graph) return <Empty title="There is no graph">No version without errors has been published.</Empty>;
  const node = workflow.graph.nodes.find((each) => each.name === selected);
  return (
    <>
      {workflow.last_good_text && (
        <p className="muted">This is the last good version, which runs; what is published has errors.</p>
      )}
      <section className="graph alone" aria-label="Workflow">
        <Suspense fallback={<Loading />}>
          <Graph graph={workflow.graph} selected={selected} select={setSelected} />
        </Suspense>
      </section>
      {node?.contract && <ContractFacts capability={node.capability} contract={node.contract} />}
      {node && (
        <p className="facts" role="status">
          <strong>{node.title}</strong> <code>{node.name}</code> {node.capability && <code>{node.capability}</code>}{" "}
          <span className="muted">{node.description}</span>
          <button type="button" className="link" onClick={() => openLine(node.line)}>
            line {node.line} of the YAML
          </button>
        </p>
      )}
    </>
  );
}

function Page({ workflow }: { workflow: Detail }) {
  const [params, setParams] = useSearchParams();
  const go = (values: Record<string, string>) => setParams(values, { replace: true });
  const errors = workflow.problem_list.length;
  return (
    <>
      <header className="page instance">
        <div>
          <p className="crumbs">
            <Link to="/workflows">Workflows</Link>
          </p>
          <h1>{workflow.name}</h1>
          <p className="facts">
            <code>{workflow.workflow_id}</code>
            {workflow.owner && <span>{workflow.owner}</span>}
            <Link to={`/?workflow=${encodeURIComponent(workflow.workflow_id)}`}>its instances</Link>
            <AirflowLink to={workflow.airflow_url}>Airflow DAG</AirflowLink>
          </p>
          <p className="description">{workflow.description}</p>
          <HoldOf what={{ kind: "workflow", name: workflow.workflow_id }} offered={workflow.can_start} />
        </div>
        <div className="actions">{workflow.can_start && <Start workflow={workflow} />}</div>
      </header>
      <Degraded answer={workflow} />
      <Tabs
        label="The workflow"
        open={params.get("tab") ?? (workflow.graph ? "graph" : "yaml")}
        select={(tab) => go({ tab })}
        tabs={[
          {
            id: "graph",
            title: "Graph",
            content: () => (
              <GraphTab workflow={workflow} openLine={(line) => go({ tab: "yaml", line: String(line) })} />
            ),
          },
          { id: "figures", title: "Figures", content: () => <Figures workflow={workflow.workflow_id} /> },
          { id: "versions", title: "Versions", content: () => <Versions workflow={workflow.workflow_id} /> },
          {
            id: "yaml",
            title: errors ? `YAML (${errors} ${errors === 1 ? "problem" : "problems"})` : "YAML",
            content: () => (
              <Yaml text={workflow.text} problems={workflow.problem_list} line={Number(params.get("line") ?? 0)} />
            ),
          },
        ]}
      />
    </>
  );
}

export default function Workflow() {
  const { id = "" } = useParams();
  return <Answer of={useWorkflow(id)}>{(workflow) => <Page key={workflow.workflow_id} workflow={workflow} />}</Answer>;
}

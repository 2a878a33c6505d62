import { Navigate, useParams } from "react-router";

import { useRun } from "../api/queries";
import { Answer } from "../parts/notices";

/** The instance of an Airflow run: what the tab on a run's page opens. */
export default function OfRun() {
  const { workflow = "", run = "" } = useParams();
  return <Answer of={useRun(workflow, run)}>{(found) => <Navigate replace to={`/instances/${found.id}`} />}</Answer>;
}

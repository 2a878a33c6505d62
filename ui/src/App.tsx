import { lazy, Suspense, useEffect } from "react";
import { NavLink, Route, Routes, useLocation } from "react-router";

import { tellPlaceToAirflow } from "./airflow";
import { CALM, useHealth, useIncidents, useTasks } from "./api/queries";
import { Empty, Loading } from "./parts/notices";
import { Instances } from "./pages/Instances";

const Instance = lazy(() => import("./pages/Instance"));
const OfRun = lazy(() => import("./pages/OfRun"));
const Workflows = lazy(() => import("./pages/Workflows"));
const Workflow = lazy(() => import("./pages/Workflow"));
const Capabilities = lazy(() => import("./pages/Capabilities"));
const Tasks = lazy(() => import("./pages/Tasks"));
const Messages = lazy(() => import("./pages/Messages"));
const Incidents = lazy(() => import("./pages/Incidents"));
const Batches = lazy(() => import("./pages/Batches"));
const Batch = lazy(() => import("./pages/Batch"));
const Health = lazy(() => import("./pages/Health"));

function Navigation() {
  const tasks = useTasks("", CALM).data;
  const health = useHealth().data;
  const incidents = useIncidents().data?.items.length ?? 0;
  const waiting = tasks?.items.length ?? 0;
  return (
    <nav className="main" aria-label="Pages of CCH">
      <NavLink to="/" end>
        Instances
      </NavLink>
      <NavLink to="/tasks">
        Human tasks {waiting > 0 && <span className="count">{tasks?.next_cursor ? `${waiting}+` : waiting}</span>}
      </NavLink>
      <NavLink to="/incidents">Incidents {incidents > 0 && <span className="count">{incidents}</span>}</NavLink>
      <NavLink to="/batches">Batches</NavLink>
      <NavLink to="/messages">Messages</NavLink>
      <NavLink to="/workflows">Workflows</NavLink>
      <NavLink to="/capabilities">Capabilities</NavLink>
      <NavLink to="/health" className="health" data-health={health?.status}>
        <i aria-hidden="true" /> Health
        <span className="sr-only">{health && `: ${health.status}`}</span>
      </NavLink>
    </nav>
  );
}

export function App() {
  const { pathname, search } = useLocation();
  useEffect(tellPlaceToAirflow, [pathname, search]);
  return (
    <>
      <a
        className="skip"
        href="#main"
        onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}
      >
        Skip to content
      </a>
      <Navigation />
      <main id="main" tabIndex={-1}>
        <Suspense fallback={<Loading />}>
          <Routes>
            <Route path="/" element={<Instances />} />
            <Route path="/instances/:id" element={<Instance />} />
            <Route path="/runs/:workflow/:run" element={<OfRun />} />
            <Route path="/workflows" element={<Workflows />} />
            <Route path="/workflows/:id" element={<Workflow />} />
            <Route path="/capabilities" element={<Capabilities />} />
            <Route path="/tasks" element={<Tasks />} />
            <Route path="/messages" element={<Messages />} />
            <Route path="/incidents" element={<Incidents />} />
            <Route path="/batches" element={<Batches />} />
            <Route path="/batches/:id" element={<Batch />} />
            <Route path="/health" element={<Health />} />
            <Route path="*" element={<Empty title="There is no such page" />} />
          </Routes>
        </Suspense>
      </main>
    </>
  );
}

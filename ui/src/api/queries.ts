import { keepPreviousData, useMutation, useQuery, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

import { ApiError, get, post, query, type Schemas } from "./client";
import { push } from "./push";

export type InstanceState = Schemas["InstanceSummary"]["state"];
export type NodeState = Schemas["NodeView"]["state"];
export type MessageState = "orphan" | "malformed" | "late" | "rejected" | "held";

/** Milliseconds between two looks; a hidden page does not look, and one that got an error looks less often. */
export const LIVE = 3_000;
export const CALM = 20_000;

export const INSTANCE_STATES = ["PENDING", "RUNNING", "WAITING", "SUCCEEDED", "FAILED", "CANCELLED"] as const;
const ENDED: readonly InstanceState[] = ["SUCCEEDED", "FAILED", "CANCELLED"];
export const hasEnded = (state: InstanceState) => ENDED.includes(state);

const at = encodeURIComponent;

/** How often to look at what changes are told of anyway. */
const TOLD = 60_000;

/** Whether changes of a route are told; then it is asked for when they are. */
function useTold(path: string | null): boolean {
  const client = useQueryClient();
  useEffect(
    () => (path === null ? undefined : push.watch(path, () => void client.invalidateQueries({ queryKey: [path] }))),
    [client, path],
  );
  return useSyncExternalStore(
    (changed) => push.listen(changed),
    () => push.tells(path),
  );
}

/** Asks again and again, or is told when to; the answer's ETag makes that cheap. `null`: nothing to ask. */
export function useLive<T>(path: string | null, every: number | ((value: T | undefined) => number | false) = LIVE) {
  const client = useQueryClient();
  const pause = typeof every === "function" ? every(client.getQueryData<T>([path])) : every;
  const told = useTold(pause === LIVE ? path : null);
  return useQuery<T, ApiError>({
    queryKey: [path],
    queryFn: ({ signal }) => get<T>(path ?? "", signal),
    enabled: path !== null,
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) =>
      state.error ? CALM : told ? TOLD : typeof every === "function" ? every(state.data) : every,
  });
}

export interface InstanceFilter {
  key: string;
  exact: boolean;
  states: string[];
  workflow: string;
  version: string;
  waitingFor: string;
  incident?: string;
  failedNode?: string;
  errorCode?: string;
  after: string;
  cursor: string;
}

/** Shortest beginning of a business key that the API searches for. */
const SHORTEST_PREFIX = 2;

/** The filter as the API names it: for the list, and for a batch of all that are in it. */
export function searchOf(filter: Omit<InstanceFilter, "cursor">) {
  const exact = filter.exact || filter.key.length < SHORTEST_PREFIX;
  return {
    [exact ? "correlation_id" : "correlation_prefix"]: filter.key,
    state: filter.states,
    workflow_id: filter.workflow,
    version: filter.workflow && filter.version,
    waiting_for: filter.waitingFor,
    incident: filter.incident,
    failed_node: filter.failedNode,
    error_code: filter.errorCode,
    started_after: filter.after,
  };
}

export const instancesPath = (filter: InstanceFilter) =>
  "/instances" + query({ ...searchOf(filter), cursor: filter.cursor, limit: 50 });

export const useInstances = (filter: InstanceFilter) => useLive<Schemas["InstancePage"]>(instancesPath(filter));

export const useInstance = (id: string) =>
  useLive<Schemas["InstanceDetail"]>(`/instances/${at(id)}`, (found) => (found && hasEnded(found.state) ? CALM : LIVE));

export const useInstanceGraph = (id: string) =>
  useLive<Schemas["GraphView"]>(`/instances/${at(id)}/graph`, () => false);

export const useRun = (workflow: string, run: string) =>
  useLive<Schemas["InstanceSummary"]>(`/workflows/${at(workflow)}/runs/${at(run)}`, CALM);

export const useRequest = (instance: string, command: string | null) =>
  useLive<Schemas["RequestDetail"]>(command && `/instances/${at(instance)}/requests/${at(command)}`, CALM);

export const useExpressions = (instance: string, node: string, item: { map: string; index: number } | null) =>
  useLive<Schemas["SeenPage"]>(
    `/instances/${at(instance)}/nodes/${at(node)}/expressions` +
      (item ? query({ map_node: item.map, index: item.index }) : ""),
    CALM,
  );

export const ITEMS_AT_ONCE = 100;
export const itemsPath = (instance: string, node: string, visit: number, first: number) =>
  `/instances/${at(instance)}/items` + query({ node, visit, first, limit: ITEMS_AT_ONCE });

export const useItem = (instance: string, node: string, visit: number, index: number | null) =>
  useLive<Schemas["MapItemDetail"]>(
    index === null ? null : `/instances/${at(instance)}/items/${index}` + query({ node, visit }),
  );

export const useWorkflows = () => useLive<Schemas["WorkflowPage"]>("/workflows", CALM);
export const useWorkflow = (id: string) => useLive<Schemas["WorkflowDetail"]>(`/workflows/${at(id)}`, CALM);

export const useCapabilities = () => useLive<Schemas["ContractPage"]>("/capabilities", CALM);

/** Seconds between two looks at figures: they are counted once a minute. */
const FIGURES = 60_000;

export const statisticsPath = (id: string, version: string, days: number) =>
  `/workflows/${at(id)}/statistics` + query({ version, days });
export const useStatistics = (id: string, version: string, days: number) =>
  useLive<Schemas["WorkflowStatistics"]>(statisticsPath(id, version, days), FIGURES);
export const usePlaces = (id: string, version: string) =>
  useLive<Schemas["WorkflowPlaces"]>(`/workflows/${at(id)}/places` + query({ version }), CALM);

export const useVersions = (id: string) => useLive<Schemas["VersionList"]>(`/workflows/${at(id)}/versions`, CALM);
export const useDifference = (id: string, from: string | null, to: string) =>
  useLive<Schemas["VersionDifference"]>(
    from && `/workflows/${at(id)}/versions/${at(from)}/difference` + query({ to }),
    () => false,
  );

export const useTasks = (cursor: string, every = LIVE) =>
  useLive<Schemas["TaskPage"]>("/tasks" + query({ cursor, limit: 50 }), every);

export const useMessages = (state: MessageState, cursor: string) =>
  useLive<Schemas["MessagePage"]>("/messages" + query({ state, cursor, limit: 50 }));
export const useMessage = (id: string | null) => useLive<Schemas["MessageDetail"]>(id && `/messages/${at(id)}`, CALM);

export const useIncidents = () => useLive<Schemas["IncidentList"]>("/incidents", CALM);

export const useHealth = () => useLive<Schemas["HealthView"]>("/health", CALM);

/** Does something, then lets everything on the page be asked for again. */
function useAction<B extends object, T>(path: string, always: object = {}) {
  const client = useQueryClient();
  return useMutation<T, ApiError, B>({
    mutationFn: (body) => post<T>(path, { ...always, ...body }),
    onSuccess: () => client.invalidateQueries(),
  });
}

export const useStart = () => useAction<Schemas["StartBody"], Schemas["InstanceSummary"]>("/instances");
export const useEvent = (instance: string) =>
  useAction<Schemas["EventBody"], Schemas["EventReceipt"]>(`/instances/${at(instance)}/events`);
export const useCancel = (instance: string) =>
  useAction<Schemas["CancelBody"], Schemas["InstanceSummary"]>(`/instances/${at(instance)}/cancel`);
export const useHold = (instance: string) =>
  useAction<Schemas["HoldBody"], Schemas["InstanceSummary"]>(`/instances/${at(instance)}/hold`);
export const useRelease = (instance: string) =>
  useAction<Schemas["HoldBody"], Schemas["InstanceSummary"]>(`/instances/${at(instance)}/release`);
export const useHolds = () => useLive<Schemas["HoldList"]>("/holds", CALM);
type Held = Pick<Schemas["HoldOfView"], "kind" | "name">;
export const useMakeHold = (what: Held) => useAction<{ reason?: string }, Schemas["HoldOfView"]>("/holds", what);
export const useEndHold = (what: Held) => useAction<{ reason?: string }, Schemas["HoldOfView"]>("/holds/release", what);
export const useResend = (instance: string, command: string) =>
  useAction<object, Schemas["ResendReceipt"]>(`/instances/${at(instance)}/requests/${at(command)}/resend`);
export const useAttach = (message: string) =>
  useAction<Schemas["AttachBody"], Schemas["AttachReceipt"]>(`/messages/${at(message)}/attach`);

/** Something that the API can say beforehand: what it would do, and then it itself. */
export interface Planned<B, T> {
  preview: UseMutationResult<T, ApiError, B>;
  act: UseMutationResult<T, ApiError, B>;
}

function usePlanned<B extends object, T>(path: string): Planned<B, T> {
  const preview = useMutation<T, ApiError, B>({ mutationFn: (body) => post<T>(path, { ...body, dry_run: true }) });
  return { preview, act: useAction<B, T>(path) };
}

export const useMove = (instance: string) =>
  usePlanned<Schemas["MoveBody"], Schemas["MoveView"]>(`/instances/${at(instance)}/move`);
export const useRetry = (instance: string) =>
  usePlanned<Schemas["RetryBody"], Schemas["MendView"]>(`/instances/${at(instance)}/retry`);
export const useDecide = (instance: string) =>
  usePlanned<Schemas["DecideBody"], Schemas["MendView"]>(`/instances/${at(instance)}/decide`);
export const usePatch = (instance: string) =>
  usePlanned<Schemas["PatchBody"], Schemas["MendView"]>(`/instances/${at(instance)}/patch`);

// --- batches

export type BatchSearch = Partial<Schemas["BatchSearch"]>;
export type BatchAction = Schemas["BatchBody"]["action"];
export type BatchResult = Schemas["BatchResultView"]["result"];

/** A search as a batch takes it: nothing that is empty. */
export function batchSearch(filter: Omit<InstanceFilter, "cursor">): BatchSearch {
  const given = Object.entries(searchOf(filter)).filter(([, value]) => value !== undefined && value.length > 0);
  return Object.fromEntries(given);
}

const isOver = (batch: Schemas["BatchView"]) => batch.state === "done" || batch.state === "stopped";

export const useBatches = (cursor: string) => useLive<Schemas["BatchPage"]>("/batches" + query({ cursor, limit: 50 }));
export const useBatch = (id: string) =>
  useLive<Schemas["BatchView"]>(`/batches/${at(id)}`, (found) => (found && isOver(found) ? CALM : LIVE));
export const useBatchResults = (id: string, result: string, cursor: string, over: boolean) =>
  useLive<Schemas["BatchResultPage"]>(
    `/batches/${at(id)}/results` + query({ result, cursor, limit: 50 }),
    over ? CALM : LIVE,
  );

/** What a dialog asks for; the rest of a body has defaults. */
export interface BatchWish {
  search: BatchSearch;
  action: object;
  reason: string;
}

export const useBatchPreview = () =>
  useMutation<Schemas["BatchPreview"], ApiError, BatchWish>({ mutationFn: (body) => post("/batches/preview", body) });
export const useBatchStart = () =>
  useAction<BatchWish & { expected: number; rate: number; id: string }, Schemas["BatchView"]>("/batches");
export const useSteer = (id: string, action: "pause" | "resume" | "stop") =>
  useAction<object, Schemas["BatchView"]>(`/batches/${at(id)}/${action}`);

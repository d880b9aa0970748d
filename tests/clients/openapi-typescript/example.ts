// Submits demands, follows them to their end, and reads their plans, histories and logs, lists and
// problems, with types that openapi-typescript made of openapi/openapi.json.
//
// DEMAND_URL tells where the service is; DEMAND_TOKEN may read and write demands.

import assert from "node:assert/strict";
import { env } from "node:process";

import createClient from "openapi-fetch";

import type {
  DemandRequest,
  ExecutionParameters,
  operations,
  paths,
  Problem,
  StatusDocument,
} from "./demand-api.js";

type Filter = NonNullable<operations["listDemands"]["parameters"]["query"]>;

const EXECUTION_TYPE = "openapi-typescript";

const client = createClient<paths>({
  baseUrl: env.DEMAND_URL,
  headers: { Authorization: `Bearer ${env.DEMAND_TOKEN}` },
});

function demand(executionId: string, parameters: ExecutionParameters): DemandRequest {
  return {
    execution_id: executionId,
    execution_type: EXECUTION_TYPE,
    execution_image: "public.ecr.aws/docker/library/bash:5",
    execution_parameters: parameters,
    execution_platform: { aws_batch: { job_queue_name: "local" } },
  };
}

/** What a call answered. A problem is thrown. */
function answer<Data>({ data, error }: { data?: Data; error?: Problem }): Data {
  if (data === undefined) {
    throw new Error(`${error?.title}: ${error?.detail}`, { cause: error });
  }
  return data;
}

async function submit(executionId: string, command: string[]): Promise<StatusDocument> {
  return answer(await client.POST("/demands", { body: demand(executionId, { command }) }));
}

/** Waits until the demand is as wanted. The service holds each answer until there is a change. */
async function until(
  executionId: string,
  wanted: (demand: StatusDocument) => boolean,
): Promise<StatusDocument> {
  let etag: string | undefined;
  for (;;) {
    const got = await client.GET("/demands/{execution_id}", {
      params: {
        path: { execution_id: executionId },
        query: { wait: etag ? 50 : 0 },
        header: { "If-None-Match": etag },
      },
    });
    if (got.response.status === 304) continue;
    const document = answer(got);
    if (wanted(document)) return document;
    assert.notEqual(document.phase, "DONE", `${executionId} ended as ${document.status}.`);
    etag = got.response.headers.get("ETag") ?? undefined;
  }
}

const hasEnded = ({ phase }: StatusDocument) => phase === "DONE";

/** The ids that a filter lets through, from all pages. */
async function list(filter: Filter): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | undefined;
  do {
    const query = { ...filter, limit: 2, cursor };
    const page = answer(await client.GET("/demands", { params: { query } }));
    assert(page.demands.length <= 2, "A page holds no more than its limit.");
    ids.push(...page.demands.map((demand) => demand.execution_id));
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
  return ids;
}

async function aCallerWithoutATokenIsRefused() {
  const stranger = createClient<paths>({ baseUrl: env.DEMAND_URL });
  const { error, response } = await stranger.GET("/demands");
  assert.equal(response.status, 401, "A caller without a token is refused.");
  assert.equal(error?.type, "urn:demand:problem:unauthenticated", "The problem says why.");
}

async function aBadDemandIsToldAllItsFaults() {
  const bad = demand("ts-bad", { command: [], inputs: ["reads"] });
  const { error, response } = await client.POST("/demands", { body: bad });
  assert.equal(response.status, 422, "A demand without a command is refused.");
  const faults = error?.errors?.map(({ pointer, code }) => `${pointer} ${code}`).sort();
  assert.deepEqual(
    faults,
    [
      "/execution_parameters/command no_command",
      "/execution_parameters/inputs/0 unknown_parameter",
    ],
    "The problem names every fault and its place.",
  );
}

async function anUnknownDemandIsNotFound() {
  const path = { execution_id: "ts-unknown" };
  const { error, response } = await client.GET("/demands/{execution_id}", { params: { path } });
  assert.equal(response.status, 404, "A demand that nobody submitted is not found.");
  assert.equal(error?.type, "urn:demand:problem:unknown-demand", "The problem says what is not.");
}

async function aDemandRunsToItsEnd() {
  const { execution_id } = await submit("ts-hello", ["echo", "hello"]);
  const ended = await until(execution_id, hasEnded);
  assert.equal(ended.status, "COMPLETED", `It ends well, not because of ${ended.reason?.message}.`);

  const params = { path: { execution_id } };
  const plan = answer(await client.GET("/demands/{execution_id}/plan", { params }));
  const planned = plan.submission.steps.find(({ step }) => step === "execute");
  const run = ended.steps.find(({ step }) => step === "execute");
  assert.equal(run?.exit_code, 0, "Its command exits with 0.");
  assert.equal(run?.job_name, planned?.submit_job.jobName, "Its job has the name of the plan.");

  const history = answer(await client.GET("/demands/{execution_id}/events", { params }));
  assert(typeof history !== "string", "A history is text only where an event stream is asked for.");
  assert.equal(history.events.at(0)?.type, "accepted", "Its history starts with its acceptance.");
  assert.equal(history.events.at(-1)?.to, "DONE", "Its history ends with its end.");

  const logs = answer(await client.GET("/demands/{execution_id}/logs", { params }));
  assert.equal(logs.lines.at(-1)?.message, "hello", "Its log has what the command printed.");
}

async function aRunningDemandCanBeCanceled() {
  const { execution_id } = await submit("ts-sleep", ["sleep", "60"]);
  await until(execution_id, ({ steps }) => steps.some(({ status }) => status === "RUNNING"));
  const params = { path: { execution_id } };
  answer(await client.POST("/demands/{execution_id}/cancel", { params }));
  const ended = await until(execution_id, hasEnded);
  assert.equal(ended.status, "ABORTED", "A canceled demand is aborted.");
  assert.equal(ended.reason?.code, "CANCELED", "Its reason says that it was canceled.");
}

async function listsHaveEveryDemandOnce() {
  const more = ["ts-1", "ts-2", "ts-3"];
  for (const id of more) await submit(id, ["true"]);
  for (const id of more) await until(id, hasEnded);
  const newestFirst = ["ts-3", "ts-2", "ts-1", "ts-sleep", "ts-hello"];

  const mine: Filter = { execution_type: [EXECUTION_TYPE] };
  assert.deepEqual(await list(mine), newestFirst, "Pages have every demand once, newest first.");
  assert.deepEqual(
    await list({ ...mine, status: ["COMPLETED", "ABORTED"] }),
    newestFirst,
    "A filter that is repeated lets through what any of its values does.",
  );
  assert.deepEqual(
    await list({ ...mine, status: ["ABORTED"] }),
    ["ts-sleep"],
    "A filter leaves out what it does not name.",
  );
  assert.deepEqual(
    await list({ ids: ["ts-1", "ts-hello"] }),
    ["ts-1", "ts-hello"],
    "Demands can be asked for by their ids.",
  );
}

await aCallerWithoutATokenIsRefused();
await aBadDemandIsToldAllItsFaults();
await anUnknownDemandIsNotFound();
await aDemandRunsToItsEnd();
await aRunningDemandCanBeCanceled();
await listsHaveEveryDemandOnce();

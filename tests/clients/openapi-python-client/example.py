"""Submits demands, follows them to their end, and reads their plans, histories and logs, lists and
problems, through the package that openapi-python-client made of openapi/openapi.json.

DEMAND_URL tells where the service is; DEMAND_TOKEN may read and write demands.
"""

import os
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

import httpx

from demand_client import AuthenticatedClient
from demand_client.api.demands import (
    cancel_demand,
    get_demand,
    get_demand_logs,
    get_demand_plan,
    list_demand_events,
    list_demands,
    submit_demand,
)
from demand_client.models import (
    AwsBatchPlatform,
    DemandList,
    DemandRequest,
    EventList,
    EventType,
    ExecutionParameters,
    ExecutionPlatform,
    FaultCode,
    LogDocument,
    Phase,
    Plan,
    Problem,
    Reason,
    ReasonCode,
    Status,
    StatusDocument,
    Step,
    StepStatus,
)
from demand_client.types import UNSET, Unset

URL = os.environ["DEMAND_URL"]
EXECUTION_TYPE = "openapi-python-client"

# Longer than the service holds an answer.
client = AuthenticatedClient(URL, token=os.environ["DEMAND_TOKEN"], timeout=httpx.Timeout(60))

Answer = TypeVar("Answer")


def expect(kind: type[Answer], answer: object) -> Answer:
    """What a call answered, where it is of the kind expected."""
    assert isinstance(answer, kind), f"The answer is {answer} instead of a {kind.__name__}."
    return answer


def demand(execution_id: str, parameters: ExecutionParameters) -> DemandRequest:
    return DemandRequest(
        execution_id=execution_id,
        execution_type=EXECUTION_TYPE,
        execution_image="public.ecr.aws/docker/library/bash:5",
        execution_parameters=parameters,
        execution_platform=ExecutionPlatform(aws_batch=AwsBatchPlatform(job_queue_name="local")),
    )


def submit(execution_id: str, command: list[str]) -> StatusDocument:
    body = demand(execution_id, ExecutionParameters(command=command))
    return expect(StatusDocument, submit_demand.sync(client=client, body=body))


def until(execution_id: str, wanted: Callable[[StatusDocument], bool]) -> StatusDocument:
    """Waits until the demand is as wanted; the service holds answers until something changes."""
    etag: str | Unset = UNSET
    while True:
        answer = get_demand.sync_detailed(
            execution_id, client=client, if_none_match=etag, wait=50 if etag else 0
        )
        if answer.status_code == HTTPStatus.NOT_MODIFIED:
            continue
        document = expect(StatusDocument, answer.parsed)
        if wanted(document):
            return document
        assert not has_ended(document), f"{execution_id} ended as {document.status}."
        etag = answer.headers["ETag"]


def has_ended(document: StatusDocument) -> bool:
    return document.phase is Phase.DONE


def is_running(document: StatusDocument) -> bool:
    return any(step.status is StepStatus.RUNNING for step in document.steps)


def listed(status: list[Status] | Unset = UNSET) -> list[str]:
    """The ids of this program's demands, from all pages."""
    ids: list[str] = []
    cursor: str | None | Unset = UNSET
    while cursor is not None:
        page = expect(
            DemandList,
            list_demands.sync(
                client=client,
                execution_type=[EXECUTION_TYPE],
                status=status,
                limit=2,
                cursor=cursor,
            ),
        )
        assert len(page.demands) <= 2, "A page holds no more than its limit."
        ids += [document.execution_id for document in page.demands]
        cursor = page.next_cursor
    return ids


def a_caller_with_an_unknown_token_is_refused() -> None:
    stranger = AuthenticatedClient(URL, token="unknown")
    problem = expect(Problem, list_demands.sync(client=stranger))
    assert problem.status == 401, "A caller with an unknown token is refused."
    assert problem.type_ == "urn:demand:problem:unauthenticated", "The problem says why."


def a_bad_demand_is_told_all_its_faults() -> None:
    bad = demand("opc-bad", ExecutionParameters(command=[], inputs=["reads"]))
    problem = expect(Problem, submit_demand.sync(client=client, body=bad))
    assert problem.status == 422, "A demand without a command is refused."
    assert {fault.pointer: fault.code for fault in problem.errors or []} == {
        "/execution_parameters/command": FaultCode.NO_COMMAND,
        "/execution_parameters/inputs/0": FaultCode.UNKNOWN_PARAMETER,
    }, "The problem names every fault and its place."


def an_unknown_demand_is_not_found() -> None:
    problem = expect(Problem, get_demand.sync("opc-unknown", client=client))
    assert problem.status == 404, "A demand that nobody submitted is not found."
    assert problem.type_ == "urn:demand:problem:unknown-demand", "The problem says what is not."


def a_demand_runs_to_its_end() -> None:
    execution_id = submit("opc-hello", ["echo", "hello"]).execution_id
    ended = until(execution_id, has_ended)
    assert ended.status is Status.COMPLETED, f"It ends well, not because of {ended.reason}."

    plan = expect(Plan, get_demand_plan.sync(execution_id, client=client))
    planned = next(step for step in plan.submission.steps if step.step is Step.EXECUTE)
    run = next(step for step in ended.steps if step.step is Step.EXECUTE)
    assert run.exit_code == 0, "Its command exits with 0."
    assert run.job_name == planned.submit_job.job_name, "Its job has the name of the plan."

    history = expect(EventList, list_demand_events.sync(execution_id, client=client))
    first, *_, last = history.events
    assert first.type_ is EventType.ACCEPTED, "Its history starts with its acceptance."
    assert last.to == "DONE", "Its history ends with its end."
    assert first.at < last.at, "Its history tells times, oldest first."

    log = expect(LogDocument, get_demand_logs.sync(execution_id, client=client))
    assert log.lines[-1].message == "hello", "Its log has what the command printed."


def a_running_demand_can_be_canceled() -> None:
    execution_id = submit("opc-sleep", ["sleep", "60"]).execution_id
    until(execution_id, is_running)
    expect(StatusDocument, cancel_demand.sync(execution_id, client=client))
    ended = until(execution_id, has_ended)
    assert ended.status is Status.ABORTED, "A canceled demand is aborted."
    reason = expect(Reason, ended.reason)
    assert reason.code is ReasonCode.CANCELED, "Its reason says that it was canceled."


def lists_have_every_demand_once() -> None:
    more = ["opc-1", "opc-2", "opc-3"]
    for execution_id in more:
        submit(execution_id, ["true"])
    for execution_id in more:
        until(execution_id, has_ended)
    newest_first = ["opc-3", "opc-2", "opc-1", "opc-sleep", "opc-hello"]

    assert listed() == newest_first, "Pages have every demand once, newest first."
    assert listed([Status.COMPLETED, Status.ABORTED]) == newest_first, (
        "A filter that is repeated lets through what any of its values does."
    )
    assert listed([Status.ABORTED]) == ["opc-sleep"], "A filter leaves out what it does not name."

    page = expect(DemandList, list_demands.sync(client=client, ids=["opc-1", "opc-hello"]))
    named = [document.execution_id for document in page.demands]
    assert named == ["opc-1", "opc-hello"], "Demands can be asked for by their ids."


if __name__ == "__main__":
    a_caller_with_an_unknown_token_is_refused()
    a_bad_demand_is_told_all_its_faults()
    an_unknown_demand_is_not_found()
    a_demand_runs_to_its_end()
    a_running_demand_can_be_canceled()
    lists_have_every_demand_once()

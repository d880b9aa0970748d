"""Submits demands, follows them to their end, and reads their plans, histories and logs, lists and
problems, through the package that openapi-generator made of openapi/openapi.json.

DEMAND_URL tells where the service is; DEMAND_TOKEN may read and write demands.
"""

import os
from collections.abc import Callable
from http import HTTPStatus

from demand_client import (
    ApiClient,
    ApiException,
    AwsBatchPlatform,
    Configuration,
    DemandRequest,
    DemandsApi,
    EventType,
    ExecutionParameters,
    ExecutionPlatform,
    FaultCode,
    Phase,
    Problem,
    ReasonCode,
    Status,
    StatusDocument,
    Step,
    StepStatus,
)

URL = os.environ["DEMAND_URL"]
EXECUTION_TYPE = "openapi-generator-python"

demands = DemandsApi(ApiClient(Configuration(URL, access_token=os.environ["DEMAND_TOKEN"])))


def demand(execution_id: str, parameters: ExecutionParameters) -> DemandRequest:
    return DemandRequest(
        execution_id=execution_id,
        execution_type=EXECUTION_TYPE,
        execution_image="public.ecr.aws/docker/library/bash:5",
        execution_parameters=parameters,
        execution_platform=ExecutionPlatform(aws_batch=AwsBatchPlatform(job_queue_name="local")),
    )


def submit(execution_id: str, command: list[str]) -> StatusDocument:
    return demands.submit_demand(demand(execution_id, ExecutionParameters(command=command)))


def until(execution_id: str, wanted: Callable[[StatusDocument], bool]) -> StatusDocument:
    """Waits until the demand is as wanted; the service holds answers until something changes."""
    etag = None
    while True:
        try:
            answer = demands.get_demand_with_http_info(
                execution_id, if_none_match=etag, wait=50 if etag else 0
            )
        except ApiException as unchanged:
            if unchanged.status != HTTPStatus.NOT_MODIFIED:
                raise
            continue
        document = answer.data
        if wanted(document):
            return document
        assert not has_ended(document), f"{execution_id} ended as {document.status}."
        # A plain dictionary: names have the case that the service gives them.
        etag = (answer.headers or {})["etag"]


def has_ended(document: StatusDocument) -> bool:
    return document.phase is Phase.DONE


def is_running(document: StatusDocument) -> bool:
    return any(step.status is StepStatus.RUNNING for step in document.steps)


def listed(status: list[Status] | None = None) -> list[str]:
    """The ids of this program's demands, from all pages."""
    ids: list[str] = []
    cursor = None
    while True:
        page = demands.list_demands(
            execution_type=[EXECUTION_TYPE], status=status, limit=2, cursor=cursor
        )
        assert len(page.demands) <= 2, "A page holds no more than its limit."
        ids += [document.execution_id for document in page.demands]
        cursor = page.next_cursor
        if cursor is None:
            return ids


def problem(call: Callable[[], object]) -> Problem:
    """The problem that a call ends with."""
    try:
        answer = call()
    except ApiException as error:
        assert isinstance(error.data, Problem), f"The error is {error} instead of a problem."
        return error.data
    raise AssertionError(f"The answer is {answer} instead of a problem.")


def a_caller_without_a_token_is_refused() -> None:
    stranger = DemandsApi(ApiClient(Configuration(URL)))
    unauthenticated = problem(stranger.list_demands)
    assert unauthenticated.status == 401, "A caller without a token is refused."
    assert unauthenticated.type == "urn:demand:problem:unauthenticated", "The problem says why."


def a_bad_demand_is_told_all_its_faults() -> None:
    bad = demand("ogp-bad", ExecutionParameters(command=[], inputs=["reads"]))
    invalid = problem(lambda: demands.submit_demand(bad))
    assert invalid.status == 422, "A demand without a command is refused."
    assert {fault.pointer: fault.code for fault in invalid.errors or []} == {
        "/execution_parameters/command": FaultCode.NO_COMMAND,
        "/execution_parameters/inputs/0": FaultCode.UNKNOWN_PARAMETER,
    }, "The problem names every fault and its place."


def an_unknown_demand_is_not_found() -> None:
    unknown = problem(lambda: demands.get_demand("ogp-unknown"))
    assert unknown.status == 404, "A demand that nobody submitted is not found."
    assert unknown.type == "urn:demand:problem:unknown-demand", "The problem says what is not."


def a_demand_runs_to_its_end() -> None:
    execution_id = submit("ogp-hello", ["echo", "hello"]).execution_id
    ended = until(execution_id, has_ended)
    assert ended.status is Status.COMPLETED, f"It ends well, not because of {ended.reason}."

    plan = demands.get_demand_plan(execution_id)
    planned = next(step for step in plan.submission.steps if step.step is Step.EXECUTE)
    run = next(step for step in ended.steps if step.step is Step.EXECUTE)
    assert run.exit_code == 0, "Its command exits with 0."
    assert run.job_name == planned.submit_job.job_name, "Its job has the name of the plan."

    first, *_, last = demands.list_demand_events(execution_id).events
    assert first.type is EventType.ACCEPTED, "Its history starts with its acceptance."
    assert last.to == "DONE", "Its history ends with its end."
    assert first.at < last.at, "Its history tells times, oldest first."

    log = demands.get_demand_logs(execution_id)
    assert log.lines[-1].message == "hello", "Its log has what the command printed."


def a_running_demand_can_be_canceled() -> None:
    execution_id = submit("ogp-sleep", ["sleep", "60"]).execution_id
    until(execution_id, is_running)
    demands.cancel_demand(execution_id)
    ended = until(execution_id, has_ended)
    assert ended.status is Status.ABORTED, "A canceled demand is aborted."
    assert ended.reason, "A canceled demand has a reason."
    assert ended.reason.code is ReasonCode.CANCELED, "Its reason says that it was canceled."


def lists_have_every_demand_once() -> None:
    more = ["ogp-1", "ogp-2", "ogp-3"]
    for execution_id in more:
        submit(execution_id, ["true"])
    for execution_id in more:
        until(execution_id, has_ended)
    newest_first = ["ogp-3", "ogp-2", "ogp-1", "ogp-sleep", "ogp-hello"]

    assert listed() == newest_first, "Pages have every demand once, newest first."
    assert listed([Status.COMPLETED, Status.ABORTED]) == newest_first, (
        "A filter that is repeated lets through what any of its values does."
    )
    assert listed([Status.ABORTED]) == ["ogp-sleep"], "A filter leaves out what it does not name."

    page = demands.list_demands(ids=["ogp-1", "ogp-hello"])
    named = [document.execution_id for document in page.demands]
    assert named == ["ogp-1", "ogp-hello"], "Demands can be asked for by their ids."


if __name__ == "__main__":
    a_caller_without_a_token_is_refused()
    a_bad_demand_is_told_all_its_faults()
    an_unknown_demand_is_not_found()
    a_demand_runs_to_its_end()
    a_running_demand_can_be_canceled()
    lists_have_every_demand_once()

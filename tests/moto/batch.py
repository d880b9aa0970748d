"""moto's Batch with jobs that run, and with the limits and pages of the real one.

Rules are those of the API reference
(https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html and its neighbours); the
words of the refusals are ours where AWS does not document its own.
"""

import base64
import json
import re
import threading
import time
from typing import Any

from moto.batch import urls
from moto.batch.exceptions import ClientException
from moto.batch.models import BatchBackend, Job, JobDefinition
from moto.batch.responses import BatchResponse
from moto.core.base_backend import BackendDict

from host import Host
from jobs import ProcessJob

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
PAYLOAD_LIMIT = 30 * 1024
DEFINITION_LIMIT = 24 * 1024


class ProcessBatch(BatchBackend):
    """One account's Batch in one region."""

    host: Host
    _jobs: dict[str, ProcessJob]  # type: ignore[assignment]
    list_delay: float = 0
    """Seconds before a new job is seen by ListJobs, which is only eventually consistent."""

    def __init__(self, region_name: str, account_id: str):
        super().__init__(region_name, account_id)
        # moto counts revisions and appends jobs without one.
        self._changing = threading.Lock()

    def register(self, request: dict[str, Any]) -> JobDefinition:
        """RegisterJobDefinition."""
        _check_name(request.get("jobDefinitionName"))
        _refuse(len(json.dumps(request)) > DEFINITION_LIMIT, "Job definition is over 24 KiB")
        _check_strategy(request)
        _check_volumes(request.get("containerProperties") or {})
        with self._changing:
            return super().register_job_definition(
                def_name=request["jobDefinitionName"],
                parameters=request.get("parameters", {}),
                _type=request.get("type", ""),
                tags=request.get("tags", {}),
                retry_strategy=request.get("retryStrategy", {}),
                container_properties=request.get("containerProperties"),
                node_properties=None,
                eks_properties=None,
                timeout=request.get("timeout", {}),
                platform_capabilities=request.get("platformCapabilities", []),
                propagate_tags=request.get("propagateTags", False),
            )

    def submit(self, request: dict[str, Any]) -> ProcessJob:
        """SubmitJob."""
        _check_name(request.get("jobName"))
        _refuse(len(json.dumps(request)) > PAYLOAD_LIMIT, "Payload is over 30 KiB")
        _check_strategy(request)
        depends_on = request.get("dependsOn") or []
        _refuse(len(depends_on) > 20, "A job depends on at most 20 jobs")
        for dependency in depends_on:
            id_ = dependency.get("jobId")
            _refuse(id_ not in self._jobs, f"Job {id_} in dependsOn does not exist")
        definition = self.get_job_definition(request["jobDefinition"])
        if definition is None or definition.status != "ACTIVE":
            raise ClientException(f"Job definition {request['jobDefinition']} does not exist")
        queue = self.get_job_queue(request["jobQueue"])
        if queue is None or queue.state != "ENABLED":
            raise ClientException(f"Job queue {request['jobQueue']} is not enabled")
        with self._changing:
            job = ProcessJob(
                self.host,
                request,
                name=request["jobName"],
                job_def=definition,
                job_queue=queue,
                backend=self,
                log_backend=self.logs_backend,
                container_overrides=request.get("containerOverrides"),
                eks_properties_override=None,
                depends_on=depends_on,
                parameters=request.get("parameters"),
                all_jobs=self._jobs,
                timeout=request.get("timeout"),
                array_properties={},
                tags=request.get("tags"),
            )
            self._jobs[job.job_id] = job
        job.start()
        return job

    def list_jobs(
        self,
        job_queue_name: str | None,
        array_job_id: str | None,
        job_status: str | None = None,
        filters: list[dict[str, Any]] | None = None,
    ) -> list[Job]:
        """ListJobs: newest first; RUNNING ones where neither a status nor a filter is given."""
        _refuse(len(filters or []) > 1, "At most one filter is taken")
        if not filters:
            filters, job_status = None, job_status or "RUNNING"
        with self._changing:
            jobs = super().list_jobs(job_queue_name, array_job_id, job_status, filters)
        # The tests ask for `*`, to count what there is; AWS's clients ask for names.
        if not filters or filters[0]["values"] != ["*"]:
            seen_before = time.time() - self.list_delay
            jobs = [job for job in jobs if job.job_created_at.timestamp() <= seen_before]
        return sorted(jobs, key=lambda job: job.job_created_at, reverse=True)

    def describe_jobs(self, jobs: list[str] | None) -> list[dict[str, Any]]:
        _refuse(not jobs or len(jobs) > 100, "DescribeJobs takes 1 to 100 jobs")
        found = (self._jobs.get(id_.rsplit("/", 1)[-1]) for id_ in jobs or [])
        return [job.describe() for job in found if job is not None]

    def cancel_job(self, job_id: str, reason: str) -> None:
        _refuse(not reason, "'reason' is a required field")
        if (job := self._jobs.get(job_id)) is not None:
            job.cancel(reason)

    def end(self) -> None:
        """Kills whatever runs."""
        for job in list(self._jobs.values()):
            job.kill()


batches = BackendDict(ProcessBatch, "batch")


class ProcessBatchResponse(BatchResponse):
    """The calls, as moto dispatches them to methods by their names."""

    @property
    def batch_backend(self) -> ProcessBatch:
        return batches[self.current_account][self.region]

    def registerjobdefinition(self) -> str:
        definition = self.batch_backend.register(json.loads(self.body))
        return json.dumps(
            {
                "jobDefinitionArn": definition.arn,
                "jobDefinitionName": definition.name,
                "revision": definition.revision,
            }
        )

    def submitjob(self) -> str:
        job = self.batch_backend.submit(json.loads(self.body))
        return json.dumps({"jobArn": job.arn, "jobName": job.job_name, "jobId": job.job_id})

    def listjobs(self) -> str:
        return self._page(super().listjobs(), "jobSummaryList", "jobId")

    def describejobdefinitions(self) -> str:
        return self._page(super().describejobdefinitions(), "jobDefinitions", "jobDefinitionArn")

    def describejobqueues(self) -> str:
        return self._page(super().describejobqueues(), "jobQueues", "jobQueueArn")

    def _page(self, answer: str, key: str, identity: str) -> str:
        """Of what moto answers in one piece, the page that was asked for: at most 100. The token
        names the last item before it, so that what is new meanwhile shifts nothing."""
        items = json.loads(answer)[key]
        size = min(int(self._get_param("maxResults") or 100), 100)
        start = 0
        if token := self._get_param("nextToken"):
            last = base64.b64decode(token).decode()
            start = 1 + [item[identity] for item in items].index(last)
        page = {key: items[start : start + size]}
        if start + size < len(items):
            page["nextToken"] = base64.b64encode(page[key][-1][identity].encode()).decode()
        return json.dumps(page)


def install(host: Host, list_delay: float) -> None:
    """Puts all this in the place of moto's own Batch."""
    ProcessBatch.host, ProcessBatch.list_delay = host, list_delay
    for path in urls.url_paths:
        urls.url_paths[path] = ProcessBatchResponse.dispatch


def _refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise ClientException(why)


def _check_name(name: str | None) -> None:
    _refuse(not NAME.fullmatch(name or ""), f"{name} should match valid pattern {NAME.pattern}")


def _check_strategy(request: dict[str, Any]) -> None:
    strategy = request.get("retryStrategy") or {}
    _refuse(not 1 <= strategy.get("attempts", 1) <= 10, "attempts must be between 1 and 10")
    _refuse(len(strategy.get("evaluateOnExit") or []) > 5, "At most 5 evaluateOnExit are taken")
    duration = (request.get("timeout") or {}).get("attemptDurationSeconds", 60)
    _refuse(duration < 60, "attemptDurationSeconds must be at least 60")
    _refuse(len(request.get("tags") or {}) > 50, "At most 50 tags are taken")


def _check_volumes(container: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in container.get("volumes") or []}
    for mount in container.get("mountPoints") or []:
        name = mount.get("sourceVolume")
        _refuse(name not in volumes, f"mountPoints name the unknown volume {name}")
    for name, volume in volumes.items():
        efs = volume.get("efsVolumeConfiguration") or {}
        if (efs.get("authorizationConfig") or {}).get("accessPointId"):
            _refuse(efs.get("rootDirectory", "/") != "/", f"{name}: rootDirectory must be /")
            encrypted = efs.get("transitEncryption") == "ENABLED"
            _refuse(not encrypted, f"{name}: an access point needs transitEncryption")

"""What came to be in the account."""

import json
from typing import Any

import templates
from conftest import ENV_BASE, REGION, Account


def test_file_systems_carry_the_tags_they_are_found_by(account: Account) -> None:
    systems = account.client("efs").describe_file_systems()["FileSystems"]
    storage = account.outputs["storage"]
    names = {
        storage["ScratchFileSystemId"]: f"{ENV_BASE}-scratch",
        storage["SharedFileSystemId"]: f"{ENV_BASE}-shared",
    }
    assert {system["FileSystemId"]: system["Name"] for system in systems} == names
    for system in systems:
        assert {"Key": "env_base", "Value": ENV_BASE} in system["Tags"]
        assert system["Encrypted"]
        assert system["ThroughputMode"] == "elastic"


def test_access_points_enter_directories_of_their_own_as_one_user(account: Account) -> None:
    points = account.client("efs").describe_access_points()["AccessPoints"]
    storage = account.outputs["storage"]
    scratch, shared = storage["ScratchFileSystemId"], storage["SharedFileSystemId"]
    found = {
        point["Name"]: (point["FileSystemId"], point["RootDirectory"]["Path"]) for point in points
    }
    assert found == {
        "scratch": (scratch, "/scratch"),
        "tmp": (scratch, "/tmp"),
        "shared": (shared, "/shared"),
    }
    for point in points:
        assert {"Key": "env_base", "Value": ENV_BASE} in point["Tags"]
        # What `demand check` warns of: a user who is not the directory's, or not everybody's.
        assert point["PosixUser"] == {"Uid": 1000, "Gid": 1000}
        assert point["RootDirectory"]["CreationInfo"] == {
            "OwnerUid": 1000,
            "OwnerGid": 1000,
            "Permissions": "0755",
        }


def test_only_instances_of_jobs_reach_the_file_systems(account: Account) -> None:
    efs, ec2 = account.client("efs"), account.client("ec2")
    network, storage = account.outputs["network"], account.outputs["storage"]
    for system in (storage["ScratchFileSystemId"], storage["SharedFileSystemId"]):
        targets = efs.describe_mount_targets(FileSystemId=system)["MountTargets"]
        subnets = {target["SubnetId"] for target in targets}
        assert subnets == {network["SubnetA"], network["SubnetB"]}
        for target in targets:
            (group,) = efs.describe_mount_target_security_groups(
                MountTargetId=target["MountTargetId"]
            )["SecurityGroups"]
            (rule,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0][
                "IpPermissions"
            ]
            assert (rule["FromPort"], rule["ToPort"]) == (2049, 2049)
            (source,) = rule["UserIdGroupPairs"]
            assert source["GroupId"] == storage["JobsSecurityGroupId"]
            assert rule["IpRanges"] == []


def test_queues_lead_to_environments_that_cost_nothing_idle(account: Account) -> None:
    batch = account.client("batch")
    queues = {q["jobQueueName"]: q for q in batch.describe_job_queues()["jobQueues"]}
    assert set(queues) == {f"{ENV_BASE}-{name}" for name in ("on-demand", "spot", "data-sync")}
    environments = {
        environment["computeEnvironmentArn"]: environment["computeResources"]
        for environment in batch.describe_compute_environments()["computeEnvironments"]
    }
    kinds = {}
    for name, queue in queues.items():
        assert (queue["state"], queue["status"]) == ("ENABLED", "VALID")
        (order,) = queue["computeEnvironmentOrder"]
        resources = environments[order["computeEnvironment"]]
        assert int(resources["minvCpus"]) == 0
        groups = [account.outputs["storage"]["JobsSecurityGroupId"]]
        assert resources["securityGroupIds"] == groups
        kinds[name.removeprefix(f"{ENV_BASE}-")] = (resources["type"], int(resources["maxvCpus"]))
    assert kinds == {"on-demand": ("EC2", 128), "spot": ("SPOT", 256), "data-sync": ("EC2", 32)}


def test_instances_ask_for_metadata_tokens_and_encrypt_their_disks(account: Account) -> None:
    ec2 = account.client("ec2")
    found = [*ec2.describe_launch_templates()["LaunchTemplates"]]
    assert len(found) == 2
    for template in found:
        (version,) = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"]
        data = version["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        (disk,) = data["BlockDeviceMappings"]
        assert disk["Ebs"]["Encrypted"] and disk["Ebs"]["VolumeType"] == "gp3"


def test_roles_of_jobs_are_for_tasks_of_this_account(account: Account) -> None:
    iam = account.client("iam")
    for output in ("DataSyncRoleArn", "DemandRoleArn"):
        name = account.outputs["batch"][output].rsplit("/", 1)[1]
        trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        (statement,) = trust["Statement"]
        assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert "aws:SourceAccount" in statement["Condition"]["StringEquals"]
    name = account.outputs["batch"]["DemandRoleArn"].rsplit("/", 1)[1]
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []


def test_changes_of_the_queues_jobs_reach_the_queue_of_events(account: Account) -> None:
    batch, sqs = account.outputs["batch"], account.client("sqs")
    url = batch["EventsQueueUrl"]
    for queue, is_ours in [
        (batch["SpotQueueArn"], True),
        (f"arn:aws:batch:{REGION}:123456789012:job-queue/somebody-elses", False),
        (batch["DataSyncQueueArn"], True),
    ]:
        send_event(account, "Batch Job State Change", {"jobQueue": queue, "jobId": queue})
        received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0).get("Messages", [])
        assert len(received) == (1 if is_ours else 0), queue
        for message in received:
            event = json.loads(message["Body"])
            assert event["detail-type"] == "Batch Job State Change"
            assert event["detail"]["jobId"] == queue
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    send_event(account, "Batch Job Queue Blocked", {"jobQueue": batch["SpotQueueArn"]})
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)


def send_event(account: Account, kind: str, detail: dict[str, Any]) -> None:
    entry = {"Source": "aws.batch", "DetailType": kind, "Detail": json.dumps(detail)}
    assert account.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_events_that_nobody_takes_end_in_the_dead_letter_queue(account: Account) -> None:
    sqs = account.client("sqs")
    outputs = account.outputs["batch"]
    names = {name: outputs[f"{name}Name"] for name in ("EventsQueue", "EventsDeadLetterQueue")}
    attributes = {
        key: sqs.get_queue_attributes(
            QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=["All"]
        )["Attributes"]
        for key, name in names.items()
    }
    dead = attributes["EventsDeadLetterQueue"]["QueueArn"]
    redrive = json.loads(attributes["EventsQueue"]["RedrivePolicy"])
    assert redrive == {"deadLetterTargetArn": dead, "maxReceiveCount": 5}
    rule = account.resources("batch")["EventsRule"].rsplit("/", 1)[-1]
    (target,) = account.client("events").list_targets_by_rule(Rule=rule)["Targets"]
    assert target["Arn"] == attributes["EventsQueue"]["QueueArn"]
    assert target["DeadLetterConfig"] == {"Arn": dead}
    (name,) = [q["Name"] for q in account.client("events").list_rules()["Rules"]]
    assert name == rule


def test_callers_come_by_tls(account: Account) -> None:
    elb = account.client("elbv2")
    resources = account.resources("service")
    listeners = elb.describe_listeners(LoadBalancerArn=resources["LoadBalancer"])["Listeners"]
    by_port = {listener["Port"]: listener for listener in listeners}
    assert set(by_port) == {80, 443}
    (redirect,) = by_port[80]["DefaultActions"]
    assert redirect["RedirectConfig"]["Protocol"] == "HTTPS"
    https = by_port[443]
    assert https["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    (default,) = https["DefaultActions"]
    assert default["TargetGroupArn"] == resources["TargetGroup"]
    rules = elb.describe_rules(ListenerArn=https["ListenerArn"])["Rules"]
    (readiness,) = [rule for rule in rules if rule["Priority"] != "default"]
    (path,) = readiness["Conditions"]
    assert path["PathPatternConfig"]["Values"] == ["/health/ready"]
    assert readiness["Actions"][0]["TargetGroupArn"] == resources["ReadinessTargetGroup"]


def test_only_liveness_ends_the_service(account: Account) -> None:
    """ECS ends what the target group it knows calls unhealthy, and what the container's own check
    does; readiness must be neither."""
    elb = account.client("elbv2")
    resources = account.resources("service")
    groups = {
        group["TargetGroupArn"]: group["HealthCheckPath"]
        for group in elb.describe_target_groups()["TargetGroups"]
    }
    assert groups[resources["TargetGroup"]] == "/health/live"
    assert groups[resources["ReadinessTargetGroup"]] == "/health/ready"
    # moto passes over a service's load balancers.
    service = templates.load("service")["Resources"]["Service"]["Properties"]
    (known,) = service["LoadBalancers"]
    assert known["TargetGroupArn"] == {"Ref": "TargetGroup"}
    assert "healthCheck" not in account.container()


def test_one_service_at_a_time(account: Account) -> None:
    (service,) = account.client("ecs").describe_services(
        cluster=account.outputs["service"]["ClusterName"],
        services=[account.outputs["service"]["ServiceName"]],
    )["services"]
    assert service["desiredCount"] == 1
    # moto passes over how a service is deployed.
    deployment = templates.load("service")["Resources"]["Service"]["Properties"][
        "DeploymentConfiguration"
    ]
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (0, 100)
    (group,) = account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (1, 1, 1)
    assert group["VPCZoneIdentifier"] == account.outputs["storage"]["ServiceSubnetId"]
    assert group["HealthCheckType"] == "EC2"


def test_the_container_may_write_to_its_volume_and_to_memory_only(account: Account) -> None:
    container = account.container()
    assert container["readonlyRootFilesystem"] and container["user"] == "1000:1000"
    assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    assert container["dockerSecurityOptions"] == ["no-new-privileges"]
    assert not container.get("privileged")
    assert [mount["containerPath"] for mount in container["mountPoints"]] == ["/data"]
    assert [tmpfs["containerPath"] for tmpfs in container["linuxParameters"]["tmpfs"]] == ["/tmp"]


def test_logs_are_kept_for_a_time(account: Account) -> None:
    groups = account.client("logs").describe_log_groups()["logGroups"]
    kept = {group["logGroupName"]: group["retentionInDays"] for group in groups}
    service = account.outputs["storage"]["ServiceLogGroupName"]
    assert kept == {service: 90, "/aws/batch/job": 90}
    assert account.container()["logConfiguration"]["options"]["awslogs-group"] == service

#!/usr/bin/env python3
"""A small service that uses a Furrow farm over gRPC: encodes a film and brings it home, whole.

    transcode.py SOURCE [FOLDER] [--farm HOST:PORT] [--token-file FILE] [--ca FILE]

Everything here may be run again, or be cut anywhere and run again: an upload is skipped when the farm
has the bytes, the client id makes a second submit the same job, a watch goes on from its cursor, and a
download from its offset.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import sys
import time

import grpc

from furrow.v1 import blob_service_pb2 as blob_pb
from furrow.v1 import blob_service_pb2_grpc as blob_grpc
from furrow.v1 import job_service_pb2 as job_pb
from furrow.v1 import job_service_pb2_grpc as job_grpc
from furrow.v1 import step_pb2, task_pb2

CHUNK_BYTES = 256 * 1024
UNARY_SECONDS = 30
# Notices a farm whose machine is gone, where no packet would ever say so.
CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
# Asking again gives the same answer. All other codes mean that the farm is away, or was cut.
FINAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DATA_LOSS,
    grpc.StatusCode.UNIMPLEMENTED,
}
ENDED = {job_pb.JOB_STATE_SUCCEEDED, job_pb.JOB_STATE_FAILED, job_pb.JOB_STATE_CANCELLED}


def say(text):
    print(text, flush=True)


class Farm:
    """The services, with the token on every call."""

    def __init__(self, address, token, authority):
        # The farm's own authority. Its certificates carry one name, wherever the farm is.
        name = ("grpc.ssl_target_name_override", "furrow.internal")
        channel = grpc.secure_channel(
            address,
            grpc.ssl_channel_credentials(root_certificates=authority),
            options=[*CHANNEL_OPTIONS, name],
        )
        self.jobs = job_grpc.JobServiceStub(channel)
        self.blobs = blob_grpc.BlobServiceStub(channel)
        self.metadata = [("authorization", f"Bearer {token}")]


def find_farm(arguments):
    """As the furrow CLI does: flag, then environment, then what lies under $FURROW_HOME."""
    home = pathlib.Path(os.environ.get("FURROW_HOME") or pathlib.Path.home() / ".furrow")
    address = arguments.farm or os.environ.get("FURROW_FARM")
    if not address:
        farm_file = home / "farm.json"
        address = json.loads(farm_file.read_text())["grpc"] if farm_file.exists() else "127.0.0.1:7400"
    token = os.environ.get("FURROW_TOKEN")
    if arguments.token_file or not token:
        token = pathlib.Path(arguments.token_file or home / "token").read_text()
    ca = arguments.ca or os.environ.get("FURROW_CA") or home / "keys" / "ca.pem"
    return Farm(address, token.strip(), pathlib.Path(ca).read_bytes())


def until_answered(call):
    """Calls until the farm answers, with growing, jittered pauses."""
    pause = 0.25
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() in FINAL:
                raise
            say(f"the farm is away ({error.code().name}), trying again")
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(pause * 2, 5)


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def upload(farm, path):
    """Brings a file to the farm unless it is there, which then keeps it for an hour for a submit."""
    sha256, size = sha256_of(path), os.path.getsize(path)

    def messages():
        yield blob_pb.UploadBlobRequest(header=blob_pb.BlobHeader(sha256=sha256, size_bytes=size))
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield blob_pb.UploadBlobRequest(chunk=chunk)

    def upload_if_missing():
        question = blob_pb.FindMissingBlobsRequest(sha256=[sha256])
        answer = farm.blobs.FindMissingBlobs(question, metadata=farm.metadata, timeout=UNARY_SECONDS)
        if answer.missing:
            farm.blobs.UploadBlob(messages(), metadata=farm.metadata)
        return bool(answer.missing)

    sent = until_answered(upload_if_missing)
    say(f"{path.name}: {'sent' if sent else 'the farm has it already'}")
    return step_pb2.File(name=path.name, sha256=sha256, size_bytes=size)


def submit(farm, source):
    work = job_pb.TranscodeRequest(
        source=source,
        video=task_pb2.VideoEncoding(encoder="libx264", crf=23, preset="veryfast"),
        film=pathlib.Path(source.name).stem + ".mp4",
        piece_ms=2000,
    )
    # Made of what is asked for: whoever asks for the same gets the same job, also after a crash.
    content = work.SerializeToString(deterministic=True)
    request = job_pb.SubmitJobRequest(
        client_id="example-" + hashlib.sha256(content).hexdigest(), name=source.name, transcode=work
    )
    answer = until_answered(
        lambda: farm.jobs.SubmitJob(request, metadata=farm.metadata, timeout=UNARY_SECONDS)
    )
    say(f"{answer.job.id} {'had been submitted before' if answer.already_submitted else 'submitted'}")
    return answer.job.id


def watch(farm, job_id):
    """Follows the job to its end, across restarts of the farm. Answers the ended job."""
    seen = {"cursor": "", "states": None}

    def follow():
        request = job_pb.WatchJobRequest(job_id=job_id, cursor=seen["cursor"])
        ended = None
        for message in farm.jobs.WatchJob(request, metadata=farm.metadata):
            # Progress has no cursor: it cannot be resumed, and need not be.
            seen["cursor"] = message.cursor or seen["cursor"]
            if message.HasField("job"):
                tell(message.job)
                if message.job.state in ENDED:
                    ended = message.job
        return ended  # None: the farm stops in good order, and will be back.

    def tell(job):
        states = ", ".join(f"{step.name} {step.accepted}/{step.total}" for step in job.steps)
        if states != seen["states"]:
            say(f"{job.id} {states}")
            seen["states"] = states

    while True:
        job = until_answered(follow)
        if job is not None:
            return job
        time.sleep(0.5)


def download(farm, output, folder):
    """Under its final name whole and verified, or not at all."""
    # The name comes from elsewhere: it must not choose a folder.
    target = folder / pathlib.PurePosixPath(output.name).name
    part = target.with_name(f".{target.name}.part")
    digest, received = hashlib.sha256(), 0

    with open(part, "wb") as file:

        def receive():
            nonlocal received
            request = blob_pb.DownloadBlobRequest(sha256=output.sha256, offset=received)
            for message in farm.blobs.DownloadBlob(request, metadata=farm.metadata):
                file.write(message.chunk)
                digest.update(message.chunk)
                received += len(message.chunk)

        until_answered(receive)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != output.sha256:
        part.unlink()
        sys.exit(f"{output.name} did not arrive as the farm has it: run this again")
    part.replace(target)
    say(f"{target} {output.sha256}")


def main():
    parser = argparse.ArgumentParser(description="Encode a film on a Furrow farm.")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path, nargs="?", default=pathlib.Path("."))
    parser.add_argument("--farm", metavar="HOST:PORT")
    parser.add_argument("--token-file", metavar="FILE")
    parser.add_argument("--ca", metavar="FILE")
    arguments = parser.parse_args()
    farm = find_farm(arguments)
    job = watch(farm, submit(farm, upload(farm, arguments.source)))
    if job.state != job_pb.JOB_STATE_SUCCEEDED:
        sys.exit(f"{job.id} {job_pb.JobState.Name(job.state)}: {job.reason}")
    for output in job.outputs:
        download(farm, output, arguments.folder)


if __name__ == "__main__":
    try:
        main()
    except (OSError, grpc.RpcError) as problem:
        sys.exit(problem.details() if isinstance(problem, grpc.RpcError) else str(problem))

"""Moving an instance to another version of its workflow."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body

from cch.api.access import AccessDep
from cch.api.actions import audit, editable
from cch.api.backend import BackendDep
from cch.api.instances import InstanceIdPath
from cch.api.mending import unless_taken
from cch.api.mending_models import MoveBody, MoveView
from cch.api.models import FieldProblem
from cch.api.problems import ApiError, responses
from cch.api.run_tasks import DatabaseTasks
from cch.definition.model import Definition
from cch.errors import DefinitionError, DefinitionNotFoundError, WrongUseError
from cch.graph.differences import likely_renames
from cch.ledger.records import Instance, RequestRecord
from cch.ledger.waits import WaitRecord
from cch.runtime.choosing import Chooser
from cch.runtime.move_plan import MovePlan
from cch.runtime.moving import MoveWish, move, preview
from cch.runtime.platform import Platform
from cch.runtime.standing_still import RefusedChangeError

router = APIRouter(tags=["actions"])


async def target_version(platform: Platform, workflow_id: str, version: str, where: str = "body") -> Definition:
    """The version that is named; "" names what is published. ``where``: the part of the request.

    :raises ApiError: 422, there is none, or it cannot be read.
    """
    chooser = Chooser(platform.catalogue, platform.ledger.versions, platform.clock)
    try:
        if not version:
            return await asyncio.to_thread(platform.catalogue.current, workflow_id)
        return await chooser.named(await platform.ledger.versions.shelf(workflow_id), version)
    except (WrongUseError, DefinitionNotFoundError) as error:
        field = FieldProblem(location=f"{where}.version", message=str(error))
        raise ApiError(422, "version_unknown", "No version is called so.", [field]) from None
    except DefinitionError as error:
        raise ApiError(422, "workflow_not_usable", f"The definition has errors: {error.problems[0]}") from None


async def _renames_proposed(platform: Platform, instance: Instance, target: Definition) -> dict[str, str]:
    plan = await platform.plans.of(instance)
    return {} if plan is None else likely_renames(plan.graph.definition, target)


def _shown(record: RequestRecord | WaitRecord) -> str:
    """A request or a wait in a few words: its node and, of an item, where."""
    where = f" for {' / '.join(record.path)}" if record.path else ""
    what = f"request {record.command_id}" if isinstance(record, RequestRecord) else "wait for an event"
    return f"{record.node}{where}: {what}"


def _view(instance: Instance, target: Definition, plan: MovePlan, *, moved: bool) -> MoveView:
    return MoveView(
        moved=moved,
        from_digest=instance.definition_digest,
        to_digest=target.digest,
        before=list(plan.before),
        after=list(plan.after),
        kept=[_shown(record) for record in plan.kept],
        superseded=[_shown(record) for record in plan.superseded],
        notes=list(plan.notes),
    )


@router.post("/instances/{instance_id}/move", response_model=MoveView, responses=responses(404, 409, 413, 503))
async def move_instance(
    instance_id: InstanceIdPath, body: Annotated[MoveBody, Body()], access: AccessDep, backend: BackendDep
) -> MoveView:
    """Move a live instance to another version of its workflow, or (`dry_run`) say what that would do.

    What is over stays as it was recorded. 409 `move_refused`: it cannot go there from where it stands, and why.
    409 `busy`: a step of it is on a worker; try again. To repeat a move that was made: 409.
    """
    platform, instance = await editable(backend, access, instance_id)
    target = await target_version(platform, instance.workflow_id, body.version)
    wish = MoveWish(definition=target, renamed=body.renames, by=access.name, reason=body.reason)
    try:
        with unless_taken("moved"):
            if body.dry_run:
                planned = await preview(platform, instance_id, wish)
            else:
                planned = await move(platform, DatabaseTasks(), instance_id, wish)
    except RefusedChangeError as refused:
        proposed = await _renames_proposed(platform, instance, target)
        hints = [
            FieldProblem(location="body.renames", message=f"{old} may be called {new} there")
            for old, new in proposed.items()
            if old not in body.renames
        ]
        raise ApiError(409, "move_refused", f"It cannot be moved: {refused}.", hints) from None
    if not body.dry_run:
        await audit(
            access, "cch_move", instance.workflow_id, instance.run_id, instance_id=instance_id,
            **{"from": instance.definition_digest, "to": target.digest}, reason=body.reason,
        )  # fmt: skip
    return _view(instance, target, planned, moved=not body.dry_run)

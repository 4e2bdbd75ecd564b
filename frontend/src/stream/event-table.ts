/** Written by `npm run schema` from openapi.json; do not edit. The server's tables are `KINDS` in
 * runs/engine/events.py and `RunStatus` in runs/models. */
export const RUN_STATUSES = [
  "pending",
  "running",
  "sleeping",
  "interrupted",
  "completed",
  "failed",
  "cancelled"
] as const;

export const EVENT_TABLE = {
  "created": {
    "meaning": "The run was accepted and waits in the queue.",
    "status": "pending",
    "replaces": [],
    "terminal": false,
    "modes": []
  },
  "started": {
    "meaning": "A worker began to execute the run.",
    "status": "running",
    "replaces": [],
    "terminal": false,
    "modes": []
  },
  "recovered": {
    "meaning": "A worker took the run over from one that was lost or stopped.",
    "status": "running",
    "replaces": [],
    "terminal": false,
    "modes": []
  },
  "node_started": {
    "meaning": "A node, or a task that a node calls, began.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": [
      "tasks"
    ]
  },
  "node_update": {
    "meaning": "A node, or a task that a node calls, returned `data`.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": [
      "updates",
      "tasks"
    ]
  },
  "retry": {
    "meaning": "A node failed and is tried again as its retry policy says.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": [
      "tasks"
    ]
  },
  "custom": {
    "meaning": "A node emitted `data`; `custom:<name>` when it gave the event a name.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": [
      "custom"
    ]
  },
  "custom:messages": {
    "meaning": "A node emitted a part of a message.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": [
      "messages"
    ]
  },
  "artifact": {
    "meaning": "A node saved an artifact.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": [
      "artifacts"
    ]
  },
  "checkpoint": {
    "meaning": "A superstep ended and its state is on record.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": [
      "values",
      "checkpoints"
    ]
  },
  "interrupted": {
    "meaning": "The run waits for the answers to its questions.",
    "status": "interrupted",
    "replaces": [],
    "terminal": false,
    "modes": []
  },
  "sleeping": {
    "meaning": "The run waits until a time.",
    "status": "sleeping",
    "replaces": [],
    "terminal": false,
    "modes": []
  },
  "resumed": {
    "meaning": "A worker goes on with a run that waited, was paused or was put back.",
    "status": "running",
    "replaces": [],
    "terminal": false,
    "modes": []
  },
  "paused": {
    "meaning": "The run is paused: no worker takes it. A run that waits stays as it is.",
    "status": "pending",
    "replaces": [
      "running"
    ],
    "terminal": false,
    "modes": []
  },
  "unpaused": {
    "meaning": "The run may go on; its status stays as it is.",
    "status": null,
    "replaces": [],
    "terminal": false,
    "modes": []
  },
  "completed": {
    "meaning": "The run ended with a result.",
    "status": "completed",
    "replaces": [],
    "terminal": true,
    "modes": []
  },
  "failed": {
    "meaning": "The run ended with an error.",
    "status": "failed",
    "replaces": [],
    "terminal": true,
    "modes": []
  },
  "cancelled": {
    "meaning": "The run was cancelled and has ended.",
    "status": "cancelled",
    "replaces": [],
    "terminal": true,
    "modes": []
  }
} as const;

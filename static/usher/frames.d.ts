/** The frames of `usher.v1` as `docs/wire.md` has them; a test holds them equal. Times are RFC 3339 in UTC. */

export interface Welcome {
  type: "welcome";
  connection: string;
  user: { id: number | string; username: string };
  epoch: string;
  head: number;
  cursor: number;
  recovered: boolean;
  state_version: number;
  unread: number;
  unseen: number;
  expires_at: string;
  grace_seconds: number;
  window: number;
  ping_seconds: number;
  server_time: string;
}

export interface Notification {
  type: "notification";
  stream: string;
  /** Null for a transient push, which is not in the list and cannot be resumed. */
  seq: number | null;
  id: string;
  kind: string;
  level: "info" | "success" | "warning" | "error";
  title: string;
  body: string;
  url: string;
  data: any;
  created_at: string;
  seen: boolean;
  read: boolean;
  archived: boolean;
  /** It was missed and is no news: show it, do not announce it. */
  replayed: boolean;
}

export interface Skipped {
  type: "skipped";
  stream: string;
  through: number;
}

export interface CaughtUp {
  type: "caught_up";
  stream: string;
  cursor: number;
}

export interface Reset {
  type: "reset";
  stream: string;
  reason: "epoch" | "expired" | "ahead";
  epoch: string;
  head: number;
  oldest: number;
}

export interface State {
  type: "state";
  state: "seen" | "read" | "unread" | "archived" | "unarchived" | "changed";
  state_version: number;
  unread: number;
  unseen: number;
  ids?: string[];
  through?: number;
  ref?: string;
}

export interface Subscribed {
  type: "subscribed";
  stream: string;
  epoch: string;
  head: number;
  cursor: number;
  /** Missing for the person's own stream, which this protocol never asks for. */
  topic?: string;
  ref?: string;
}

export interface Unsubscribed {
  type: "unsubscribed";
  stream: string;
  topic?: string;
  ref?: string;
}

export interface Denied {
  type: "denied";
  stream: string;
  topic: string;
  code: "forbidden" | "too_many_topics";
  /** Missing where the right was lost later. */
  ref?: string;
}

export interface ReauthRequired {
  type: "reauth_required";
  reason: "session_expired" | "credentials_changed" | "requested";
  deadline: string;
  grace_seconds: number;
}

export interface Reauthenticated {
  type: "reauthenticated";
  expires_at: string;
  held: number;
  state_version: number;
  ref?: string;
}

export interface ReauthFailed {
  type: "reauth_failed";
  code: string;
  attempts_left: number;
  retry_after_ms: number;
  ref?: string;
}

export interface ErrorFrame {
  type: "error";
  code: string;
  detail: string;
  ref?: string;
  retry_after_ms?: number;
}

export interface Bye {
  type: "bye";
  code: number;
  reason: string;
  reconnect: boolean;
  need: "nothing" | "ticket" | "login";
  retry_after_ms: number;
}

export interface Pong {
  type: "pong";
  ref?: string;
}

export type Frame =
  | Welcome
  | Notification
  | Skipped
  | CaughtUp
  | Reset
  | State
  | Subscribed
  | Unsubscribed
  | Denied
  | ReauthRequired
  | Reauthenticated
  | ReauthFailed
  | ErrorFrame
  | Bye
  | Pong;

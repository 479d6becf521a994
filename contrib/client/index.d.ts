// SPDX-License-Identifier: MIT

/** How a connection ended. */
export interface Close {
  code: number;
  reason: string;
  wasClean: boolean;
  /** Whether it had been open at all. Not open and 1006: refused by HTTP, or nobody there; a page cannot know more. */
  opened: boolean;
  /** The code in words. */
  words: string;
}

export interface CloseEvent extends Event, Close {
  /** Milliseconds to the next try; null: there is none, it is over. */
  retryIn: number | null;
}

export interface MessageEvent extends Event {
  data: string | ArrayBuffer;
  /** With `resume`: where it comes from. */
  from?: "stdout" | "stderr";
}

/** A session began. dropped: messages of ours that had not arrived in the one before, and now never will. */
export interface NewEvent extends Event {
  next: number;
  dropped: number;
}

/** It goes on. resent: messages of ours that had not arrived, and were sent again. */
export interface ResumedEvent extends Event {
  next: number;
  resent: number;
}

/** Messages that we never got, and never will: a shared session left them out since we were too slow, or went on without us. */
export interface SkippedEvent extends Event {
  count: number;
}

/** Of a terminal (subprotocol "tty") with `resume`: one of the two. */
export interface TerminalEvent extends Event {
  title?: string;
  preferences?: Record<string, unknown>;
}

export interface LinkEvents {
  connecting: Event;
  open: Event;
  message: MessageEvent;
  close: CloseEvent;
  new: NewEvent;
  resumed: ResumedEvent;
  skipped: SkippedEvent;
  terminal: TerminalEvent;
}

/** For routes with `session`: docs/sessions.md of wsluice. */
export interface Resume {
  /** Our own token, 22 to 128 letters, digits, _ and -. Default: a random one, kept in sessionStorage for each address. Never
   * take one from the page's address: who made the link would have the session. */
  token?: string | null;
  /** Puts the token into the query, too, for a balancer, which sees nothing else; so do logs on the way. Default: false. */
  inQuery?: boolean;
  /** true: after a load of the page all that the server still has comes again; false: what comes next. Default: false. */
  replay?: boolean;
  /** Whether to begin anew after 4400 (it is not there any more) and 4402 (messages are missing). Default: true. */
  anew?: boolean;
  /** Go on without, where the route keeps no sessions. Default: false, it closes with 4400. */
  optional?: boolean;
  /** Gives the first message of each connection, where the protocol wants one. */
  hello?: (() => string | ArrayBuffer | ArrayBufferView) | null;
  /** Bytes of sent messages that have not arrived; send() waits above half of it, and rejects above it. Default: 16 MiB. */
  limit?: number;
  /** ms of silence after which the server is asked whether it lives; after as much again the link is dead. 0: never. Default: 10,000. */
  alive?: number;
}

export interface Retry {
  /** The first try comes after at most this many ms; each further one after at most twice as many. Default: 500. */
  first?: number;
  /** The longest delay in ms, and the pace of hidden pages. Default: 30,000. */
  most?: number;
  /** A session that was open for so many ms makes the next loss the first one again. Default: 10,000. */
  stay?: number;
  /** Tries in a row before it gives up. Default: Infinity. */
  tries?: number;
  /** Whether to try again after this end. Default: worthRetrying. */
  when?: (close: Close) => boolean;
}

export interface Options {
  protocols?: string | string[];
  /** false: one connection only. */
  retry?: Retry | false;
  /** The session outlives the connection. */
  resume?: boolean | Resume;
  /** ms for a connection to open. Default: 15,000. */
  timeout?: number;
  /** send() waits while more bytes than this are on their way out. Default: 1 MiB. */
  highWater?: number;
  /** Messages that may wait for an iterator. Default: 10,000. */
  queue?: number;
  /** Ends it for good. */
  signal?: AbortSignal | null;
  /** For runtimes without one, such as node before 22: that of the package ws. */
  WebSocket?: unknown;
}

export class Link extends EventTarget implements AsyncIterable<string | ArrayBuffer> {
  /** Connects at once. A url is relative to the page, http: becomes ws:. A function is asked anew for each try. */
  constructor(url: string | URL | (() => string | URL | Promise<string | URL>), options?: Options);
  readonly state: "connecting" | "open" | "waiting" | "closed";
  /** ms from the start of the last successful try to its open: several round trips, and the start of the program. */
  readonly openTime: number | null;
  /** ms of the last roundTrip(). */
  readonly rtt: number | null;
  /** Messages thrown away because nobody read them. */
  readonly dropped: number;
  /** Tries now, if there is no connection: instead of waiting, or again after the end. */
  connect(): void;
  /** Ends it for good. */
  close(code?: number, reason?: string): void;
  /** Hands data to the socket at once; resolves when at most `highWater` bytes wait to leave. With `resume` it may also be called
   * without a connection: data is kept until it has arrived. */
  send(data: string | ArrayBuffer | ArrayBufferView): Promise<void>;
  /** The end of our input, on a route with eof-on-empty. Answers still come. */
  end(): Promise<void>;
  /** Sends a signal to the program ("INT"), on a route with `signals`; protocols has to be "channels.wsluice". What is sent and
   * read then has a byte in front: send() puts it there, channel() takes it off. */
  kill(name?: string): void;
  /** Resolves when it is open; rejects when there will be no further try. */
  ready(): Promise<void>;
  /** Sends a message; resolves with the ms until its answer, which goes to nobody else. Only where something answers. */
  roundTrip(data?: string | ArrayBuffer | ArrayBufferView, isAnswer?: (answer: string | ArrayBuffer) => boolean,
    timeout?: number): Promise<number>;
  /** With a listener for "message", iterators get nothing. */
  on<T extends keyof LinkEvents>(type: T, listener: (event: LinkEvents[T]) => void, options?: AddEventListenerOptions): this;
  /** Messages of all sessions, until it is closed for good. One reader: two would share the messages between them. */
  [Symbol.asyncIterator](): AsyncGenerator<string | ArrayBuffer, void, undefined>;
  /** The same as lines, wherever messages begin and end. */
  lines(): AsyncGenerator<string, void, undefined>;
}

/** Cuts text or bytes, as they come, into lines without their newline or carriage return and newline. */
export class Lines {
  /** Characters; a line that is longer comes in pieces. 1 Mi unless set. */
  max: number;
  push(data: string | ArrayBuffer | ArrayBufferView): string[];
  /** What came behind the last newline: no line, or one. */
  end(): string[];
}

/** Cuts a string or bytes into pieces of at most `size` bytes (64 KiB); a string between characters. */
export function split(data: string, size?: number): Generator<string, void, undefined>;
export function split(data: ArrayBuffer | ArrayBufferView, size?: number): Generator<Uint8Array, void, undefined>;
export function text(data: string | ArrayBuffer | ArrayBufferView): string;
export function bytes(data: string | ArrayBuffer | ArrayBufferView): Uint8Array;

/** Of a route with `stderr: message`: the first byte of a message says where the rest comes from. */
export function channel<T extends string | ArrayBuffer | Uint8Array>(data: T): { from: "stdout" | "stderr"; data: T };

/** How the program ended; null when the code is about something else. 1000 also stands for a service's normal end. */
export function programEnd(code: number): { exit: number; signal?: undefined } | { signal: number; exit?: undefined } | null;

/** A close code, and the reason if there is one, in words. */
export function closeInWords(close: { code: number; reason?: string }): string;

/** Whether a new try may go better: not after a normal end, the program's own end, or a fault of ours. */
export function worthRetrying(close: { code: number }): boolean;

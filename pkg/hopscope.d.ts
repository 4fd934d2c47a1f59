/** One input: a capture, an inventory, or an archive of them. */
export interface AnalysisInput {
  /** Its path as a person would give it, `/` between folders; the report names it so. */
  name: string;
  bytes: Uint8Array;
}

/**
 * Load the engine. In browsers, await this once before anything else; `source` is where `engine_bg.wasm` is, when it does
 * not lie beside the module. In Node.js it does nothing.
 */
export function init(source?: unknown): Promise<unknown>;
/** Load the engine at once from a compiled module or its bytes: `initSync({ module })`. */
export function initSync(source?: unknown): unknown;
export default init;

/**
 * The report over `inputs`; their order does not matter. An input that cannot be read is no error: the report says so.
 *
 * Numbers are JavaScript's: times since 1970 in nanoseconds (`first_ns`, `last_ns`) lose their last three digits or so.
 * `analyzeToJson` keeps every digit.
 */
export function analyze(inputs: AnalysisInput[]): Report;

/** The report as text, byte for byte what `hopscope analyze --format json` writes for the same names and bytes. */
export function analyzeToJson(inputs: AnalysisInput[]): string;

/** How an `Analysis` is to be done. */
export interface AnalysisOptions {
  /**
   * How many bytes packets may take: of captures with more, the same one in two, four, eight … is examined at every capture point, and
   * `report.sampling` says so, as with the command line's `--memory`. Without it, all are.
   */
  memory?: number;
}

/** Reads inputs piece by piece, so that none need be in memory as a whole. */
export class Analysis {
  constructor(options?: AnalysisOptions);
  /** Begin an input; gives its handle. */
  add(name: string): number;
  /** The input's next bytes, any number of them. */
  push(handle: number, bytes: Uint8Array): void;
  /** The input has no more bytes: from now on it is part of the report. */
  finish(handle: number): void;
  /** The report over the finished inputs. More inputs may follow, and another report. */
  report(): Report;
  /** The same as text, as `analyzeToJson` gives it. */
  reportToJson(): string;
  /** Give the engine's memory back. */
  free(): void;
}

/** Everything that an analysis found. */
export interface Report {
  /** `hopscope.report/1`: fields may be added, none of these changes. */
  schema: string;
  generator: Generator;
  inputs: Input[];
  capture_points: CapturePoint[];
  entities: Entity[];
  links: Link[];
  paths: Path[];
  findings: Finding[];
  evidence: Evidence[];
  /** For an analysis that did not examine every packet; absent if it did. */
  sampling?: Sampling;
  /** What was left out because it fits several things alike; absent if nothing was. */
  ambiguous?: Ambiguous;
}

/** Not all packets fitted into memory: the same ones were examined at every capture point. */
export interface Sampling {
  /** One in so many. */
  one_in: number;
  /** Packets of all captures. */
  packets: number;
  /** How many of them were examined. */
  examined: number;
  /** Conversations of which no packet was; absent if there are none. */
  unexamined_flows?: number;
}

/** Counts of what could belong to several conversations, and was given to none. */
export interface Ambiguous {
  /** Identities of packets. */
  packets: number;
  /** Messages behind a proxy. */
  messages: number;
}

export interface Generator {
  name: string;
  version: string;
}

export type Status = "ok" | "partial" | "rejected";

export interface Input {
  id: string;
  name: string;
  /** `capture`, `kubectl`, `ec2`, … */
  kind: string;
  bytes: number;
  status: Status;
  /** For partial and rejected: what is wrong and where. */
  message: string | null;
}

/** One file and capture interface. */
export interface CapturePoint {
  id: string;
  /** An input's id. */
  input: string;
  interface_name: string | null;
  link_type: string;
  packets: number;
  /** Nanoseconds since 1970. */
  first_ns: number | null;
  last_ns: number | null;
  clock: Clock | null;
  /** The id of the interface that this was captured on. */
  at: string | null;
  /** A probability, as everywhere. */
  confidence: number;
  /** Ids in `Report.evidence`, as everywhere. */
  evidence: string[];
}

export interface Clock {
  /** A capture point's id. */
  relative_to: string;
  offset_ns: number;
  uncertainty_ns: number;
}

export type EntityKind =
  | "vpc"
  | "availability_zone"
  | "subnet"
  | "node"
  | "pod"
  | "interface"
  | "vpc_router"
  | "load_balancer"
  | "nat_gateway"
  | "internet_gateway"
  | "vpc_endpoint"
  | "service"
  | "external"
  | "unknown";

export interface Entity {
  /** Such as `pod:default/tomcat-0`. */
  id: string;
  kind: EntityKind;
  name: string;
  aliases: string[];
  /** The id of the entity that contains it. */
  parent: string | null;
  macs: string[];
  ips: string[];
  confidence: number;
  evidence: string[];
}

export interface Link {
  a: string;
  b: string;
  /** `veth_pair`, `same_segment`, `routed` or `tunnel`. */
  kind: string;
  confidence: number;
  evidence: string[];
}

/** One conversation, followed through every address rewrite. */
export interface Path {
  id: string;
  flow: Flow;
  packets: number;
  bytes: number;
  directions: DirectionPath[];
  /** Paths that a proxy at one end of this one continues it by; absent if there is none. */
  relays?: Relay[];
}

/** A proxy ends one connection and opens another: the path on its other side. */
export interface Relay {
  /** The other path's id. */
  path: string;
  side: Side;
  /** The proxy's entity. */
  through: string;
  confidence: number;
  evidence: string[];
}

/** Whether the other path is behind the proxy or in front of it. */
export type Side = "behind" | "front";

export interface Flow {
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `sctp` or `other`. */
  protocol: string;
  client: FlowEnd;
  server: FlowEnd;
  /** The address that the client dialled, where it is not the server's own. */
  via: FlowEnd | null;
}

export interface FlowEnd {
  /** An entity's id. */
  entity: string | null;
  ip: string;
  port: number | null;
}

export type Way = "request" | "reply";

export type Verdict = "delivered" | "lost" | "rejected" | "unknown";

export interface DirectionPath {
  direction: Way;
  hops: Hop[];
  verdict: Verdict;
  /** For lost: index of the last hop that saw the packets. */
  lost_after: number | null;
  /**
   * Only of what is lost: the hops that the packets were on their way to, in order. None saw any; `capture_points` are the captures that ran
   * there meanwhile.
   */
  beyond?: Hop[];
}

/** What changed against the hop before. */
export type Rewrite = "mac" | "ttl" | "snat" | "dnat" | "encap" | "decap";

/** One interface that the packets cross, or one device inside which nothing can be seen. */
export interface Hop {
  /** The id of the pod, node, router, … */
  owner: string;
  interface: string | null;
  /** False: nothing was captured here, it is inferred. */
  observed: boolean;
  capture_points: string[];
  src_mac: string | null;
  dst_mac: string | null;
  src_ip: string | null;
  src_port: number | null;
  dst_ip: string | null;
  dst_port: number | null;
  ttl: number | null;
  rewrites: Rewrite[];
  encapsulation: Encapsulation[];
  /** Median since the last observed hop, clocks corrected. */
  delay_ns: number | null;
  /** Where that is an estimate from a sample: its interval at 95 %. */
  delay_range_ns?: number[];
  /** Packets of this direction seen here. */
  seen: number;
  /** Seen before this hop, but never here. */
  missing: number;
  /** Where that is an estimate from a sample: its interval at 95 %. */
  missing_range?: number[];
  confidence: number;
  evidence: string[];
}

export interface Encapsulation {
  /** `vxlan`, `geneve`, `gre`, `ipip` or `vlan`. */
  kind: string;
  /** VNI, GRE key or VLAN id. */
  vni: number | null;
  outer_src: string | null;
  outer_dst: string | null;
}

export type Severity = "info" | "warning" | "error";

export interface Finding {
  kind: string;
  severity: Severity;
  /** Ids of what it is about. */
  about: string[];
  summary: string;
  /** The command or capture that would settle it. */
  next_step: string | null;
  confidence: number;
  evidence: string[];
  /** Ids of the paths that it is told of; the first 24 of many. Empty if it is told of none in particular. */
  paths: string[];
}

export interface Evidence {
  id: string;
  kind: string;
  statement: string;
  sources: Source[];
}

/** A place in an input: one of `frame`, `pointer` and `line` is there. */
export interface Source {
  /** An input's id. */
  input: string;
  /** From 1, as Wireshark counts. */
  frame?: number;
  /** RFC 6901. */
  pointer?: string;
  /** From 1. */
  line?: number;
}

//! Report → picture: where every box, port, line and label goes. Plain data out, integers only, one unit is one pixel.
//! Knows the report and rough text widths; must not know SVG, the DOM or colours.
//!
//! The method, in the order of the modules:
//! 1. `scene`: the chosen paths become ports (an interface, or a device's inside), wires between consecutive hops, blocks (what
//!    stands by itself: a node with its pods, a router, a load balancer) and containers (VPC > zone > subnet).
//! 2. `grid`: hop order gives each block a column; containment gives rows: inside a container, children whose columns overlap go
//!    below one another. So each container is a rectangle of cells, and siblings cannot overlap, whatever their sizes.
//! 3. `route`: a wire between two blocks runs through the gutters between columns and the gaps between rows, found by A* on that
//!    lattice. A region inside a box that holds neither end is closed to it, so no wire crosses a foreign box. All of this is
//!    done in cell numbers, before any size is known; sizes can then only stretch the result.
//! 4. `block`: a block's own inside: pods beside the host's network, a card for each interface, wires between them.
//! 5. `place`: sizes and labels become coordinates.
//!
//! Everything is sorted by what the report says, never by its lists' order, so shuffled lists give the same picture.

// Every index here is made by this module from its own lists; none is read from a report.
#![allow(clippy::indexing_slicing)]

mod block;
mod grid;
mod place;
mod route;
mod scene;

use serde::{Deserialize, Serialize};

use crate::report::{EntityKind, Path, Report, Verdict, Way};
use crate::views::words::Book;

/// The picture of the chosen paths.
#[must_use]
pub fn layout(report: &Report, selection: &Selection) -> Picture {
    let paths = report.paths.iter().filter(|p| selection.path.as_ref().is_none_or(|id| *id == p.id)).collect();
    of_paths(&Book::new(report), paths, selection)
}

/// One path of a report that has been looked up already, both ways: who draws thousands does that once.
pub(super) fn of_path(book: &Book<'_>, path: &Path) -> Picture {
    of_paths(book, vec![path], &Selection::path(&path.id))
}

fn of_paths<'a>(book: &'a Book<'a>, paths: Vec<&'a Path>, selection: &Selection) -> Picture {
    let scene = scene::gather(book, paths, selection);
    let grid = grid::arrange(&scene);
    let plans = block::plan(&scene, &grid);
    let axes = grid.axes(&scene);
    let routes = route::connect(&scene, &grid, &axes, &plans);
    place::place(&scene, &grid, &axes, &plans, &routes)
}

/// What to draw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// One path by its id, with everything that changes on the way; `None`: all paths as one map, without those labels.
    pub path: Option<String>,
    /// One direction; `None`: both.
    pub way: Option<Way>,
}

impl Selection {
    /// All paths, both directions.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// One path, both directions.
    #[must_use]
    pub fn path(id: &str) -> Self {
        Self { path: Some(id.to_owned()), way: None }
    }
}

/// A drawing in pixels; (0, 0) is the top left corner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Width of everything, with a margin.
    pub width: i32,
    /// Height of everything, with a margin.
    pub height: i32,
    /// What the picture shows, in one line.
    pub title: String,
    /// The same picture in words, for who cannot see it.
    pub description: String,
    /// Parents before their children.
    pub boxes: Vec<Area>,
    /// Interfaces, each on its owner's border.
    pub ports: Vec<Port>,
    /// Wires between consecutive hops.
    pub edges: Vec<Edge>,
    /// What changes along an edge. Labels overlap neither one another nor a box that does not hold them.
    pub labels: Vec<Label>,
    /// The numbers of the hops at each port (one path only).
    pub marks: Vec<Mark>,
    /// Each direction's outcome (one path only).
    pub badges: Vec<Badge>,
}

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Width.
    pub w: i32,
    /// Height.
    pub h: i32,
}

impl Rect {
    /// Whether the insides of both share a point. Rectangles that only touch do not.
    #[must_use]
    pub fn overlaps(&self, o: &Self) -> bool {
        self.x < o.x + o.w && o.x < self.x + self.w && self.y < o.y + o.h && o.y < self.y + self.h
    }

    /// Whether `o` lies within, borders included.
    #[must_use]
    pub fn contains(&self, o: &Self) -> bool {
        self.x <= o.x && self.y <= o.y && o.x + o.w <= self.x + self.w && o.y + o.h <= self.y + self.h
    }
}

/// A point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// From the left.
    pub x: i32,
    /// From the top.
    pub y: i32,
}

/// A line of text in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The text's left end.
    pub x: i32,
    /// The text's baseline.
    pub y: i32,
    /// How it looks.
    pub style: TextStyle,
    /// Inert (see `escape::inert`), not yet escaped for any language.
    pub text: String,
}

/// How a text looks. Sizes are what the layout reckons with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextStyle {
    /// What kind of thing a box is: 11 px, faint.
    Caption,
    /// Its name: 12 px, strong.
    Name,
    /// An address: 10 px, monospaced, faint.
    Address,
    /// A remark (`not captured`): 10 px, slanted.
    Remark,
}

/// A box: a container, a block, or what stands inside a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// The entity's id; `network:<node's id>` for a node's own network beside its pods.
    pub id: String,
    /// The entity that it shows.
    pub entity: String,
    /// The box around it.
    pub parent: Option<String>,
    /// What it is.
    pub kind: AreaKind,
    /// Where it is.
    pub rect: Rect,
    /// What is written in it.
    pub texts: Vec<Text>,
    /// Some hop here was captured. Always true for what holds others.
    pub observed: bool,
    /// The entity's confidence.
    pub confidence: f64,
    /// The entity's evidence.
    pub evidence: Vec<String>,
}

/// What a box shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AreaKind {
    /// An entity of that kind.
    Entity(EntityKind),
    /// A node's own network namespace.
    HostNetwork,
}

impl AreaKind {
    /// The kind as reports write it (`vpc_router`), or `host_network`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::HostNetwork => "host_network",
            Self::Entity(kind) => match kind {
                EntityKind::Vpc => "vpc",
                EntityKind::AvailabilityZone => "availability_zone",
                EntityKind::Subnet => "subnet",
                EntityKind::Node => "node",
                EntityKind::Pod => "pod",
                EntityKind::Interface => "interface",
                EntityKind::VpcRouter => "vpc_router",
                EntityKind::LoadBalancer => "load_balancer",
                EntityKind::NatGateway => "nat_gateway",
                EntityKind::InternetGateway => "internet_gateway",
                EntityKind::VpcEndpoint => "vpc_endpoint",
                EntityKind::Service => "service",
                EntityKind::External => "external",
                EntityKind::Unknown => "unknown",
            },
        }
    }
}

/// An interface, drawn as a card inside its owner's border.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// The interface's id; `port:<owner's id>` where nobody knows the interface.
    pub id: String,
    /// The interface, if known.
    pub interface: Option<String>,
    /// The entity that it belongs to.
    pub owner: String,
    /// The box on whose border it sits.
    pub area: String,
    /// The card.
    pub rect: Rect,
    /// What is written on it.
    pub texts: Vec<Text>,
    /// Some hop here was captured.
    pub observed: bool,
    /// The capture points that sit here.
    pub capture_points: Vec<String>,
    /// The hops' evidence.
    pub evidence: Vec<String>,
}

/// A wire from one hop to the next, in the direction that the packet travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// `p1/request/3`: into the hop with index 3; on the map of all paths, that of the first path on it.
    pub id: String,
    /// The paths that run here.
    pub paths: Vec<String>,
    /// Request or reply.
    pub direction: Way,
    /// Index of the hop that it leaves (of the first path on it).
    pub from_hop: u32,
    /// Index of the hop that it reaches; the same as `from_hop` for the stump after which packets were lost.
    pub to_hop: u32,
    /// The port or block that it leaves.
    pub from: String,
    /// The port or block that it reaches.
    pub to: String,
    /// Corners of an orthogonal line; draw them round.
    pub points: Vec<Point>,
    /// Both hops were captured.
    pub observed: bool,
    /// Where packets were lost on it.
    pub lost_at: Option<Point>,
    /// No packet came this far (it lies behind a loss).
    pub is_beyond_loss: bool,
    /// The reached hop's confidence.
    pub confidence: f64,
    /// The reached hop's evidence.
    pub evidence: Vec<String>,
}

/// What changes along an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The edge's id.
    pub edge: String,
    /// Request or reply.
    pub direction: Way,
    /// Where it is.
    pub rect: Rect,
    /// Its lines; the first one's baseline is 10 below the top, each further one 13 below the one before. 10 px, monospaced.
    pub lines: Vec<Change>,
}

/// One line of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it tells.
    pub kind: ChangeKind,
    /// Inert, not yet escaped for any language.
    pub text: String,
}

/// What a label's line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// MAC addresses on the wire from here on.
    Mac,
    /// The TTL or hop limit fell.
    Ttl,
    /// An address was translated.
    Nat,
    /// A tunnel header was put on or taken off.
    Tunnel,
    /// Time since the last captured hop.
    Delay,
}

/// Which hops of a direction a port is, for finding them in a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Request or reply.
    pub direction: Way,
    /// Indices of the hops, from 0.
    pub hops: Vec<u32>,
    /// The numbers as written: from 1, with spaces. 9 px.
    pub text: String,
    /// Where the text ends (not begins), on its baseline.
    pub end: Point,
}

/// A direction's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Badge {
    /// Request or reply.
    pub direction: Way,
    /// The outcome.
    pub verdict: Verdict,
    /// The outcome in plain words. Inert.
    pub text: String,
}

/// Height of a label's line.
pub const LINE: i32 = 13;

/// Width of a text, on the safe side, in whole pixels.
fn text_width(text: &str, style: TextStyle) -> i32 {
    let tenths: i32 = match style {
        TextStyle::Address => text.chars().map(|c| if c.is_ascii() { 61 } else { 90 }).sum(),
        // Bold faces are wider: a tenth of the size more, whatever the character.
        TextStyle::Name => text.chars().map(|c| (proportional(c) + 1) * 12).sum(),
        TextStyle::Caption => text.chars().map(|c| proportional(c) * 11).sum(),
        TextStyle::Remark => text.chars().map(|c| proportional(c) * 10).sum(),
    };
    (tenths + 9) / 10
}

/// A character's width in tenths of its size, in a common sans-serif.
fn proportional(c: char) -> i32 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 3,
        '-' | '/' | 't' | 'f' | 'r' | 'I' | '(' | ')' => 4,
        'm' | 'w' | 'M' | 'W' | '@' => 9,
        'A'..='Z' => 7,
        c if c.is_ascii() => 6,
        _ => 10,
    }
}

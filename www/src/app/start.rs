//! The first view: what to give, how to collect it, the examples, and the promise with the way to check it.

use leptos::html::{div, h1, h2, li, ol, p, section, strong};
use leptos::prelude::*;

use super::state::{App, Dialog};
use super::{gather, shell, ui};

/// What a button says, what more it says when pointed at, its id, and which example it opens.
const EXAMPLES: [(&str, &str, &str, &str); 3] = [
    ("Open the example", "Pod to pod over two nodes", "example", "pod-to-pod"),
    ("…one through a load balancer", "From outside, through a Service", "example-lb", "load-balancer"),
    ("…and one that loses packets", "Captured before and after the loss", "example-loss", "loss"),
];

/// What is shown while there are no inputs.
pub fn start(app: App) -> AnyView {
    let drop = div().class("drop").child((
        h1().child("Which way did the packet go, and where did it stop?"),
        p().class("lead").child(
            "Drop what you have captured and what you know of the network, anywhere on this page: captures from any number of \
             interfaces, kubectl and aws output, ip, arp and iptables text, folders, archives. Hopscope finds each packet in every capture \
             and shows its path, hop by hop, with the evidence.",
        ),
        div().class("toolbar big").child((
            shell::pickers(app),
            ui::push("Paste text…", "Paste the output of a command", "paste", move || app.dialog.set(Some(Dialog::Paste))),
        )),
    ));
    let examples = section().class("card").child((
        h2().child("See it work"),
        p().child("A ping between two pods on different nodes of an EKS cluster, captured at six interfaces. Two of its MAC addresses belong to nobody in the captures."),
        div().class("toolbar").child(EXAMPLES.map(|(label, title, id, name)| ui::push(label, title, id, move || gather::example(app, name)))),
    ));
    let collect = section().class("card").child((
        h2().child("Collect it"),
        p().child("Capture at each interface that the packet may cross, all at the same time; then save what the cluster and the cloud say of themselves."),
        div().class("toolbar").child(ui::push("Commands to copy", "Commands that collect captures and inventories", "commands", move || {
            app.dialog.set(Some(Dialog::Commands));
        })),
    ));
    let promise = section().class("card").child((
        h2().child("Nothing leaves this machine"),
        p().child((
            strong().child("Your files are read in this browser and nowhere else. "),
            "The page's security policy forbids it every connection, even to its own server, and its workers are bound by the same policy.",
        )),
        ol().child((
            li().child("Check: open the browser's developer tools, Network, and use the page. The list stays empty."),
            li().child("Check: switch the network off and reload. The page still works."),
            li().child("Check: view this page's source. The policy is the first thing in it: connect-src 'none'."),
        )),
    ));
    div().class("start").attr("data-testid", "start").child((drop, div().class("cards").child((examples, collect, promise)))).into_any()
}

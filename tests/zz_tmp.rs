use hopscope::{import, sniff};
fn walk(d: &std::path::Path, out: &mut Vec<std::path::PathBuf>) {
    for e in std::fs::read_dir(d).unwrap() {
        let p = e.unwrap().path();
        if p.is_dir() { walk(&p, out) } else { out.push(p) }
    }
}
#[test]
fn all() {
    let mut files = vec![];
    let roots = std::env::var("ROOTS").unwrap_or("/work/shared/cases:/work/shared/real-json".into());
    for r in roots.split(':') {
        walk(std::path::Path::new(r), &mut files);
    }
    files.sort();
    let dump = std::env::var("DUMP").is_ok();
    for f in files {
        let b = std::fs::read(&f).unwrap();
        let fmt = sniff::sniff(&b[..b.len().min(4096)], f.to_str().unwrap());
        let unk = sniff::sniff(&b[..b.len().min(4096)], "unknown");
        assert_eq!(fmt, unk);
        if matches!(fmt, sniff::Format::Pcap | sniff::Format::Pcapng | sniff::Format::Gzip | sniff::Format::Tar | sniff::Format::Zip) {
            println!("{} {:?}", f.display(), fmt);
            continue;
        }
        let i = import::import(fmt, &b);
        println!("{} {:?} facts {} notes {:?}", f.display(), fmt, i.facts.len(), i.notes);
        if dump {
            for x in i.facts {
                println!("   {:?}", x);
                let s = import::locate::span_of(&b, &x.at).unwrap();
                println!("      {}-{}", s.first_line, s.last_line);
            }
        }
    }
}

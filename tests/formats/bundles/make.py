"""How the bundles in this folder were made: outputs that stand in ../inventory and ../captures, under the names and in the folders that each
tool's source gives them (awslabs/amazon-eks-ami log-collector-script, amazon-vpc-cni-k8s aws-cni-support.sh, microsoft/retina
pkg/capture, kubectl cluster-info dump --output-directory). Same inputs, same bytes: python3 make.py"""
import gzip, io, pathlib, tarfile, zipfile

here = pathlib.Path(__file__).parent
of = lambda name: (here.parent / name).read_bytes()
ip = 'inventory/iproute2/6.1.0/'
headed = lambda command, name: f'*** Output of {command} ***\n'.encode() + of(name)


def tar_gz(name, members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', format=tarfile.GNU_FORMAT) as tar:
        for path, data in members:
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    with open(here / name, 'wb') as out, gzip.GzipFile(filename='', mode='wb', fileobj=out, mtime=0) as packed:
        packed.write(buffer.getvalue())


tar_gz('eks_i-0a1b2c3d4e5f60718_2026-11-22_2200-UTC_0.7.8.tar.gz', [
    ('system/instance-id.txt', b'i-0a1b2c3d4e5f60718\n'),
    ('system/ps.txt', b'USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\nroot 1 0.0 0.1 1 1 ? Ss 22:00 0:01 /sbin/init\n'),
    ('ipamd/enis.json', of('inventory/amazon-vpc-cni-k8s/1.20/enis.json')),
    ('ipamd/pods.json', of('inventory/amazon-vpc-cni-k8s/1.6/pods.json')),
    ('ipamd/ipam.json', of('inventory/amazon-vpc-cni-k8s/1.13/ipam.json')),
    ('ipamd/ipamd-env.txt', b'{"WARM_ENI_TARGET":"1"}\n'),
    ('networking/ifconfig.txt', of('inventory/net-tools/2.10/ifconfig.txt')),
    ('networking/iprule.txt', headed('ip rule show', ip + 'ip-rule.txt')),
    ('networking/iproute.txt', headed('ip route show table all', ip + 'ip-route.txt')),
    ('networking/iptables-nat.txt', of('inventory/iptables/1.8.9/iptables-nat-nvL.txt')),
    ('networking/iptables-save.txt', of('inventory/iptables/1.8.9/iptables-save.txt')),
    ('networking/conntrack.txt', b'*** Output of conntrack -S *** \ncpu=0 found=27 invalid=0 insert=0\n' + headed('conntrack -L', 'inventory/linux/nf_conntrack/nf_conntrack.txt')),
    ('networking/ip_addr.txt', of(ip + 'ip-addr.txt')),
    ('var_log/aws-routed-eni/ipamd.log', b'{"level":"info","ts":"2026-11-22T22:00:00.000Z","msg":"started"}\n'),
])
tar_gz('aws-cni-support.tar.gz', [
    ('aws-routed-eni/eni.output', of('inventory/amazon-vpc-cni-k8s/1.6/enis.json')),
    ('aws-routed-eni/pod.output', of('inventory/amazon-vpc-cni-k8s/1.6/pods.json')),
    ('aws-routed-eni/ifconfig.output', of('inventory/net-tools/2.10/ifconfig.txt')),
    ('aws-routed-eni/iprule.output', of(ip + 'ip-rule.txt')),
    ('aws-routed-eni/iproute.output', of(ip + 'ip-route.txt')),
    ('aws-routed-eni/iptables-save.output', of('inventory/iptables/1.8.9/iptables-save.txt')),
])
tar_gz('retina-capture-node1-20261122220000UTC.tar.gz', [
    ('retina-capture-node1-20261122220000UTC.pcap', of('captures/tcpdump-4.99.3/any-sll2.pcap')),
    ('ip-resources.txt', b'Summary:\n\n/sbin/ip -d -j addr show(IP address configuration)\n/sbin/ip rule list(Policy routing list)\n\nExecute:\n\n/sbin/ip -d -j addr show\n\n'
        + of(ip + 'ip-addr.json') + b'\n/sbin/ip rule list\n\n' + of(ip + 'ip-rule.txt') + b'/sbin/ip route show table all\n\n' + of(ip + 'ip-route.txt')),
    ('iptables-rules.txt', b'Summary:\n\n/sbin/iptables-nft-save(IPtables rules)\n\nExecute:\n\n/sbin/iptables-nft-save\n\n' + of('inventory/iptables/1.8.9/iptables-save.txt')),
    ('socket-stats.txt', b'Summary:\n\n/bin/ss -tunap\n\nExecute:\n\n/bin/ss -tnpi\n\n' + of(ip + 'ss-tnpi.txt')),
])
with zipfile.ZipFile(here / 'cluster-info-dump.zip', 'w', zipfile.ZIP_DEFLATED) as dump:
    for path, data in [
        ('cluster-state/nodes.json', of('inventory/kubectl/1.35.2/nodes.json')),
        ('cluster-state/default/pods.json', of('inventory/kubectl/1.35.2/pods.json')),
        ('cluster-state/default/services.json', of('inventory/kubectl/1.35.2/services.json')),
        ('cluster-state/default/events.json', b'{"kind":"EventList","apiVersion":"v1","metadata":{},"items":[]}\n'),
        ('cluster-state/default/web-0/logs.txt', b'==== START logs for container web of pod default/web-0 ====\n10.9.9.9 dev eni0 scope link\n==== END logs for container web of pod default/web-0 ====\n'),
    ]:
        dump.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)

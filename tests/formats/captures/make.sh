#!/usr/bin/env bash
# How the captures and archives in this folder were made: real kernel traffic between two network namespaces, written by
# the programs and versions that the folders name. Needs root, tcpdump 4.99.3, Wireshark 4.0.17's tools, zip, zstd, python3.
# Times and addresses differ from run to run, and so would the values that the tests expect: run it to add, not to renew.
set -eu
cd "$(dirname "$0")"
tcpdump=tcpdump-4.99.3 wireshark=wireshark-4.0.17
mkdir -p $tcpdump $wireshark archives

ip netns add ha; ip netns add hb
trap 'ip netns del ha; ip netns del hb' EXIT
ip link add va netns ha address 02:00:00:00:00:0a type veth peer name vb netns hb address 02:00:00:00:00:0b
ip -n ha addr add 10.9.0.1/24 dev va; ip -n hb addr add 10.9.0.2/24 dev vb
ip -n ha addr add fd09::1/64 dev va nodad; ip -n hb addr add fd09::2/64 dev vb nodad
for ns in ha hb; do ip -n $ns link set lo up; done
ip -n ha link set va up; ip -n hb link set vb up
for ns in ha hb; do
    local_ip=10.9.0.1 remote=10.9.0.2 inner=10.99.0.1 mac=02:00:00:00:99:0a dev=va
    [ $ns = hb ] && local_ip=10.9.0.2 remote=10.9.0.1 inner=10.99.0.2 mac=02:00:00:00:99:0b dev=vb
    ip -n $ns link add vx address $mac type vxlan id 4242 local $local_ip remote $remote dev $dev dstport 4789
    ip -n $ns addr add $inner/24 dev vx; ip -n $ns link set vx up
done
sleep 1

cat > /tmp/traffic.py <<'P'
import socket, sys, time, threading
def serve(family):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('', 8080)); s.listen()
    while True:
        c, _ = s.accept(); c.recv(100); c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'); c.close()
if sys.argv[1] == 'serve':
    for f in (socket.AF_INET, socket.AF_INET6):
        if f == socket.AF_INET6:
            s = socket.socket(f); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(('', 8080)); s.listen()
            def run(s=s):
                while True:
                    c, _ = s.accept(); c.recv(100); c.sendall(b'ok'); c.close()
            threading.Thread(target=run, daemon=True).start()
        else:
            threading.Thread(target=serve, args=(f,), daemon=True).start()
    time.sleep(120)
for target in sys.argv[1:]:
    f = socket.AF_INET6 if ':' in target else socket.AF_INET
    c = socket.socket(f); c.connect((target, 8080)); c.sendall(b'GET /hop HTTP/1.1\r\nHost: hop\r\n\r\n'); c.recv(100); c.close()
    u = socket.socket(f, socket.SOCK_DGRAM); u.connect((target, 9))
    u.send(b'unheard')          # nobody listens: ICMP port unreachable
    time.sleep(.1)
    u = socket.socket(f, socket.SOCK_DGRAM); u.sendto(b'f' * 2500, (target, 9))   # fragments
    time.sleep(.1)
P

ip netns exec hb python3 /tmp/traffic.py serve & server=$!
sleep 1
record() { # FILE TCPDUMP-ARGS... -- TARGETS...
    local file=$1; shift; local args=()
    while [ "$1" != -- ]; do args+=("$1"); shift; done; shift
    ip netns exec ha tcpdump -U -w "$file" "${args[@]}" 2>/dev/null & local recorder=$!
    sleep 2; ip netns exec ha python3 /tmp/traffic.py "$@"; sleep 1; kill -TERM $recorder; wait $recorder || true
}
record $tcpdump/veth.pcap -i va -- 10.9.0.2 fd09::2
record $tcpdump/any-sll2.pcap -i any -- 10.9.0.2
record $tcpdump/any-sll.pcap -i any -y LINUX_SLL -- 10.9.0.2
record $tcpdump/vxlan-snaplen-128.pcap -i va -s 128 udp port 4789 -- 10.99.0.2
record $tcpdump/lo-nanoseconds.pcap -i lo --time-stamp-precision=nano -- 127.0.0.1 || true
ip netns exec ha dumpcap -q -i va -i lo -f "not arp" -w $wireshark/dumpcap-two-interfaces.pcapng 2>/dev/null & recorder=$!
sleep 2; ip netns exec ha python3 /tmp/traffic.py 10.9.0.2; sleep 1; kill -TERM $recorder; wait $recorder || true
kill $server

for format in nsecpcap modpcap nokiapcap rh6_1pcap suse6_3pcap pcapng; do
    editcap -F $format $tcpdump/veth.pcap $wireshark/editcap-$format.${format/#*pcapng/pcapng} || true
done
editcap -s 60 -F pcap $tcpdump/veth.pcap $wireshark/editcap-snaplen-60.pcap
editcap -F pcapng -a "1:first comment" -a "3:third comment" --capture-comment "whole file" $tcpdump/veth.pcap $wireshark/editcap-comments.pcapng
printf '10.9.0.1 client.shop.example\n10.9.0.2 web.shop.example\n10.9.0.2 www.shop.example\nfd09::1 client6.shop.example\n' > /tmp/hosts
tshark -P -N n -W n -H /tmp/hosts -r $tcpdump/veth.pcap -w $wireshark/tshark-names.pcapng > /dev/null
mkdir -p foreign; editcap -F pcapng -r $tcpdump/veth.pcap foreign/really-pcapng.pcap 1-3
for format in snoop netmon1 netmon2 ngsniffer k12text nettl 5views; do editcap -F $format -r $tcpdump/veth.pcap foreign/veth.$format 1-2; done
: > foreign/empty.pcap; head -c 4096 /dev/zero > foreign/zeros.pcap
mergecap -w $wireshark/mergecap-ethernet-and-sll2.pcapng $tcpdump/veth.pcap $tcpdump/any-sll2.pcap

cp $tcpdump/vxlan-snaplen-128.pcap /tmp/small.pcap; cp $wireshark/editcap-comments.pcapng /tmp/comments.pcapng; cd /tmp
a=$OLDPWD/archives
gzip -9kc small.pcap > $a/gzip-1.12.pcap.gz
(gzip -c < small.pcap; gzip -c < /dev/null) > $a/gzip-1.12-two-members.pcap.gz
zstd -q -19 -c small.pcap > $a/zstd-1.5.4.pcap.zst
mkdir -p bundle/$(printf 'l%.0s' $(seq 120)); cp small.pcap bundle; cp comments.pcapng bundle/l*/
tar -cf $a/gnu-1.34.tar bundle; tar --format=pax -czf $a/gnu-1.34-pax.tar.gz bundle
zip -q -r $a/infozip-3.0.zip bundle; zip -q -0 -r $a/infozip-3.0-stored.zip bundle; cat small.pcap | zip -q $a/infozip-3.0-piped.zip -
python3 -c "import shutil; shutil.make_archive('$a/python-3.11-zipfile', 'zip', '.', 'bundle')"
rm -r bundle

# What tshark says of them, which the tests compare with.
cd "$OLDPWD"
for file in */*.pcap */*.pcapng */*pcap; do
    tshark -n -r "$file" -o ip.defragment:FALSE -o ipv6.defragment:FALSE -T fields -E header=y -E occurrence=a \
        -e frame.number -e frame.time_epoch -e frame.len -e frame.cap_len -e ip.src -e ip.dst -e ip.ttl -e ip.id -e ipv6.src -e ipv6.dst -e ipv6.hlim -e tcp.srcport -e tcp.dstport -e tcp.seq_raw -e tcp.ack_raw -e tcp.window_size_value -e udp.srcport -e udp.dstport -e icmp.type -e icmp.code -e icmpv6.type -e icmpv6.code -e arp.opcode -e arp.src.proto_ipv4 -e vxlan.vni  > "$file.tsv" 2> /dev/null
done

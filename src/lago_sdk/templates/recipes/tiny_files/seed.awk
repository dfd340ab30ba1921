# Reads the documents of a NoCloud seed: YAML in block style, with flow lists of scalars, quoted
# and plain scalars and literal blocks. Each value is kept under its path, for example
# value["network-config", "ethernets.eth0.addresses.0"]; END writes what the guest needs to
# files in the directory "out".

function decode(s,    r, c, i) {          # the escapes of a double-quoted scalar
    if (index(s, "\\") == 0) return s
    r = ""
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (c != "\\") { r = r c; continue }
        c = substr(s, ++i, 1)
        if (c == "n") r = r "\n"
        else if (c == "t") r = r "\t"
        else if (c == "r") r = r "\r"
        else if (c == "x") { r = r sprintf("%c", hex(substr(s, i + 1, 2))); i += 2 }
        else r = r c
    }
    return r
}
function hex(s,    n, i) {
    n = 0
    for (i = 1; i <= length(s); i++)
        n = n * 16 + index("0123456789abcdef", tolower(substr(s, i, 1))) - 1
    return n
}
function scalar(s) {
    sub(/[ \t\r]+$/, "", s)
    if (match(s, /^"([^"\\]|\\.)*"/)) return decode(substr(s, 2, RLENGTH - 2))
    if (match(s, /^'([^']|'')*'/)) { s = substr(s, 2, RLENGTH - 2); gsub(/''/, "'", s); return s }
    sub(/[ \t]+#.*$/, "", s)
    return s
}
function put(path, v) {
    if (!((document, path) in value)) order[++entries] = document SUBSEP path
    value[document, path] = v
}
function get(path) { return value[document, path] }
function flow(path, s,    n, i, part) {   # [a, b] of scalars without commas
    gsub(/^\[[ ]*|[ ]*\][ ]*$/, "", s)
    if (s == "") return
    n = split(s, part, /[ ]*,[ ]*/)
    for (i = 1; i <= n; i++) put(path "." (i - 1), scalar(part[i]))
}
function flowmap(path, s,    n, i, at, part) {   # {a: b} of scalars without commas
    gsub(/^\{[ ]*|[ ]*\}[ ]*$/, "", s)
    n = split(s, part, /[ ]*,[ ]*/)
    for (i = 1; i <= n; i++) {
        at = index(part[i], ": ")
        if (at) put(path "." scalar(substr(part[i], 1, at - 1)), scalar(substr(part[i], at + 2)))
    }
}
function path_of(depth) { return depth ? path[depth] : "" }
function join(parent, name) { return parent == "" ? name : parent "." name }
function assign(where, s) {
    if (s ~ /^[|>][-+0-9]*[ ]*(#.*)?$/) { literal = where; chomp = s ~ /-/; block = -1; put(where, ""); return }
    if (s ~ /^\[/) flow(where, s)
    else if (s ~ /^\{/) flowmap(where, s)
    else if (s != "") put(where, scalar(s))
}
function node(at, s,    key) {            # one "- ...", "key: ..." or scalar at column "at"
    if (s ~ /^-( |$)/) {
        while (depth && (column[depth] > at || (column[depth] == at && item[depth]))) depth--
        parent = path_of(depth)
        depth++; column[depth] = at; item[depth] = 1
        path[depth] = join(parent, (document, parent) in count ? ++count[document, parent] : (count[document, parent] = 0))
        match(s, /^-[ ]*/)
        if (RLENGTH < length(s)) node(at + RLENGTH, substr(s, RLENGTH + 1))
        return
    }
    if (match(s, /^("[^"]*"|'[^']*'|[A-Za-z0-9_.\/*-]+):([ ]+|$)/)) {
        width = RLENGTH
        key = substr(s, 1, width); sub(/:[ ]*$/, "", key)
        while (depth && column[depth] >= at) depth--
        parent = path_of(depth)
        depth++; column[depth] = at; item[depth] = 0
        path[depth] = join(parent, scalar(key))
        assign(path[depth], substr(s, width + 1))
        return
    }
    if (depth) assign(path[depth], s)
}

FNR == 1 {
    document = FILENAME; depth = 0; literal = ""
    ignored = FILENAME == "user-data" && $0 !~ /^#cloud-config/
}
ignored { next }
literal != "" {
    match($0, /^ */)
    if (block < 0 && $0 ~ /[^ ]/) block = RLENGTH > column[depth] ? RLENGTH : -2
    if (block >= 0 && ($0 !~ /[^ ]/ || RLENGTH >= block)) {
        put(literal, get(literal) substr($0, block + 1) "\n")
        next
    }
    if (block == -1) next
    if (chomp) { text = get(literal); sub(/\n$/, "", text); put(literal, text) }
    literal = ""
}
/^[ \t]*(#.*)?$/ || /^---/ { next }
{ match($0, /^ */); at = RLENGTH; node(at, substr($0, at + 1)) }

function cloud(name,    v) {              # user-data wins over vendor-data
    v = value["user-data", name]
    return v != "" ? v : value["vendor-data", name]
}
function quote(s) { gsub(/'/, "'\\''", s); return "'" s "'" }
function words(document, prefix,    i, s, v) {
    s = ""
    for (i = 0; (document, prefix "." i) in value; i++) {
        v = value[document, prefix "." i]
        s = s (s == "" ? "" : " ") v
    }
    return s
}
function routes(prefix,    i, s, to) {
    s = ""
    for (i = 0; ("network-config", prefix "." i ".via") in value; i++) {
        to = value["network-config", prefix "." i ".to"]
        s = s " " to "," value["network-config", prefix "." i ".via"]
    }
    return s
}
function nic(id,    p, v4, v6, mac, name) {  # id|mac|name|dhcp4|addresses|routes|dns|search|mtu|metric
    p = net "ethernets." id
    mac = tolower(value["network-config", p ".match.macaddress"])
    name = value["network-config", p ".set-name"]
    v4 = value["network-config", p ".gateway4"]; v6 = value["network-config", p ".gateway6"]
    print id "|" mac "|" name "|" value["network-config", p ".dhcp4"] "|" \
        words("network-config", p ".addresses") "|" \
        (v4 == "" ? "" : "0.0.0.0/0," v4 " ") (v6 == "" ? "" : "::/0," v6) routes(p ".routes") "|" \
        words("network-config", p ".nameservers.addresses") "|" \
        words("network-config", p ".nameservers.search") "|" \
        value["network-config", p ".mtu"] "|" \
        value["network-config", p ".dhcp4-overrides.route-metric"] > (out "/net")
}

END {
    hostname = cloud("hostname")
    if (hostname == "") hostname = value["meta-data", "local-hostname"]
    fqdn = cloud("fqdn")
    if (hostname != "") {
        print hostname > (out "/hostname")
        print "127.0.1.1 " (fqdn == "" || fqdn == hostname ? hostname : fqdn " " hostname) > (out "/hosts")
    }
    print value["meta-data", "instance-id"] > (out "/instance-id")
    if (cloud("ssh_keys.ed25519_private") != "")
        printf "%s", cloud("ssh_keys.ed25519_private") > (out "/host-key")
    if (value["network-config", "network.version"] != "") net = "network."
    for (n = 1; n <= entries; n++) {
        split(order[n], part, SUBSEP); document = part[1]; where = part[2]; v = value[order[n]]
        if (document == "network-config") {
            if (index(where, net "ethernets.") == 1) {
                id = substr(where, length(net "ethernets.") + 1); sub(/\..*/, "", id)
                if (!(id in seen)) { seen[id] = 1; nic(id) }
            }
        }
        else if (where ~ /(^|\.)(ssh_authorized_keys|public-keys)\.[0-9]+$/ || where == "public-keys") {
            if (!(v in known)) { known[v] = 1; print v > (out "/keys") }
        }
        else if (where ~ /^chpasswd\.list/) print v > (out "/passwords")
        else if (where ~ /^runcmd\.[0-9]+$/) print v > (out "/runcmd")
        else if (where ~ /^runcmd\.[0-9]+\.0$/) {
            prefix = where; sub(/\.0$/, "", prefix); line = ""
            for (i = 0; (document, prefix "." i) in value; i++)
                line = line quote(value[document, prefix "." i]) " "
            print line > (out "/runcmd")
        }
        else if (where ~ /^write_files\.[0-9]+\.path$/) {
            prefix = where; sub(/\.path$/, "", prefix)
            mode = value[document, prefix ".permissions"]; if (mode == "") mode = "0644"
            print "mkdir -p \"$(dirname " quote(v) ")\"; printf %s " quote(value[document, prefix ".content"]) \
                " > " quote(v) "; chmod " quote(mode) " " quote(v) > (out "/files")
        }
    }
}

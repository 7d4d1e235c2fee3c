# SPDX 2.3 as JSON, from two tables separated by tabs: the programs (path, SHA-1, SHA-256), and the packages whose code
# is in them (name, version, architecture, source package, its version, how, licence). Called by scripts/sbom.
function json(text) {
    gsub(/[\\"]/, "\\\\&", text)
    return "\"" text "\""
}
function field(name, text) {
    return json(name) ": " json(text)
}
# list(ITEMS): the items, one a line.
function list(name, items) {
    return "  " json(name) ": [\n" items "\n  ]"
}
function joined(items, item) {
    return items (items == "" ? "" : ",\n") item
}
function identifier(text) {
    gsub(/[^A-Za-z0-9.-]/, "-", text)
    return text
}
# A package URL has '+' and ':' as numbers.
function url_text(text) {
    gsub(/\+/, "%2B", text)
    gsub(/:/, "%3A", text)
    return text
}
function checksum(algorithm, value) {
    return "{" field("algorithm", algorithm) ", " field("checksumValue", value) "}"
}
function relate(from, kind, to, comment) {
    relations = joined(relations, "    {" field("spdxElementId", from) ", " field("relationshipType", kind) ", " \
        field("relatedSpdxElement", to) (comment ? ", " field("comment", comment) : "") "}")
}
# What every package has; `more` is what only this one has.
function package(id, name, version, source, license, copyright, more) {
    packages = joined(packages, "    {" field("SPDXID", id) ", " field("name", name) ",\n     " \
        field("versionInfo", version) ", " field("downloadLocation", "NOASSERTION") \
        ", \"filesAnalyzed\": false,\n     " \
        field("sourceInfo", source) ", " field("licenseDeclared", license) ",\n     " \
        field("licenseConcluded", "NOASSERTION") ", " field("copyrightText", copyright) ",\n     " more "}")
}
BEGIN {
    how["linked"] = "from the static archive of the Debian package"
    how["headers"] = "headers only, compiled into the program"
    how["built"] = "from the Debian source package, built by scripts/static-libraries"
    relate("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")
    package("SPDXRef-Image", "sandstore", version, "commit " commit (options ? ", built with " options : ""), "MIT", \
        "NOASSERTION", field("primaryPackagePurpose", "CONTAINER"))
}
FNR == NR {
    program[++program_count] = "SPDXRef-File-" identifier(substr($1, 2))
    digests = digests "-" $3
    files = joined(files, "    {" field("SPDXID", program[program_count]) ", " field("fileName", "." $1) \
        ", \"fileTypes\": [\"BINARY\", \"APPLICATION\"],\n     \"checksums\": [" checksum("SHA1", $2) ",\n      " \
        checksum("SHA256", $3) "],\n     " field("licenseConcluded", "NOASSERTION") ", " \
        field("copyrightText", "NOASSERTION") "}")
    relate("SPDXRef-Image", "CONTAINS", program[program_count])
    next
}
{
    id = "SPDXRef-Package-" identifier($1)
    url = "pkg:deb/debian/" url_text($1) "@" url_text($2) "?arch=" $3 "&distro=debian-12"
    package(id, $1, $2, "Debian source package " $4 " " $5, $7, "see /usr/share/doc/" $1 "/copyright.gz in the image", \
        field("supplier", "Organization: Debian") ", \"externalRefs\": [{" \
        field("referenceCategory", "PACKAGE-MANAGER") ", " field("referenceType", "purl") ",\n      " \
        field("referenceLocator", url) "}]")
    for (i = 1; i <= program_count; i++) relate(program[i], "STATIC_LINK", id, how[$6])
}
END {
    print "{"
    print "  " field("spdxVersion", "SPDX-2.3") ", " field("dataLicense", "CC0-1.0") ", " \
        field("SPDXID", "SPDXRef-DOCUMENT") ","
    print "  " field("name", "sandstore-" version) ","
    # Names this very program; nothing has to answer there.
    print "  " field("documentNamespace", "urn:sandstore:sbom" digests) ","
    print "  \"creationInfo\": {" field("created", created) ", \"creators\": [\"Tool: sandstore-sbom\"]},"
    print "  \"documentDescribes\": [\"SPDXRef-Image\"],"
    print list("packages", packages) ","
    print list("files", files) ","
    print list("relationships", relations)
    print "}"
}

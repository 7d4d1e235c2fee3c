# SPDX 2.3 as JSON, from two tables separated by tabs: the programs (path, SHA-1, SHA-256), and the packages whose code
# is in them (name, version, architecture, source package, its version, how, licence). Called by scripts/sbom.
function json(text) {
    gsub(/[\\"]/, "\\\\&", text)
    return "\"" text "\""
}
function identifier(text) {
    gsub(/[^A-Za-z0-9.-]/, "-", text)
    return text
}
function relate(from, kind, to, comment) {
    relations = relations (relations ? ",\n" : "") "    {\"spdxElementId\": " json(from) ", \"relationshipType\": " \
        json(kind) ", \"relatedSpdxElement\": " json(to) (comment ? ", \"comment\": " json(comment) : "") "}"
}
# '+' and ':' have to be written as numbers in a package URL.
function url_text(text) {
    gsub(/\+/, "%2B", text)
    gsub(/:/, "%3A", text)
    return text
}
BEGIN {
    how_words["linked"] = "from the static archive of the Debian package"
    how_words["headers"] = "headers only, compiled into the programs"
    how_words["built"] = "from the Debian source package, built by scripts/static-libraries"
}
FNR == NR {
    program[++program_count] = "SPDXRef-File-" identifier(substr($1, 2))
    digests = digests $3
    files = files (files ? ",\n" : "") "    {\"SPDXID\": " json(program[program_count]) ", \"fileName\": " json("." $1) \
        ", \"fileTypes\": [\"BINARY\", \"APPLICATION\"],\n     \"checksums\": [{\"algorithm\": \"SHA1\"" \
        ", \"checksumValue\": " json($2) "},\n                   {\"algorithm\": \"SHA256\", \"checksumValue\": " \
        json($3) "}],\n     \"licenseConcluded\": \"NOASSERTION\", \"copyrightText\": \"NOASSERTION\"}"
    relate("SPDXRef-Image", "CONTAINS", program[program_count])
    next
}
{
    id = "SPDXRef-Package-" identifier($1)
    url = "pkg:deb/debian/" url_text($1) "@" url_text($2) "?arch=" $3 "&distro=debian-12"
    packages = packages ",\n    {\n      \"SPDXID\": " json(id) ",\n      \"name\": " json($1) ",\n      \"versionInfo\": " \
        json($2) ",\n      \"supplier\": \"Organization: Debian\",\n      \"downloadLocation\": \"NOASSERTION\"" \
        ",\n      \"filesAnalyzed\": false,\n      \"sourceInfo\": " json("Debian source package " $4 " " $5) \
        ",\n      \"licenseConcluded\": \"NOASSERTION\",\n      \"licenseDeclared\": " json($7) \
        ",\n      \"copyrightText\": " json("see /usr/share/doc/" $1 "/copyright in the image") \
        ",\n      \"externalRefs\": [{\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\"," \
        "\n                        \"referenceLocator\": " json(url) "}]\n    }"
    for (i = 1; i <= program_count; i++) relate(program[i], "STATIC_LINK", id, how_words[$6])
}
END {
    print "{"
    print "  \"spdxVersion\": \"SPDX-2.3\","
    print "  \"dataLicense\": \"CC0-1.0\","
    print "  \"SPDXID\": \"SPDXRef-DOCUMENT\","
    print "  \"name\": " json("sandstore-" version) ","
    # Names this very pair of programs; nothing has to answer there.
    print "  \"documentNamespace\": " json("urn:sandstore:sbom:" digests) ","
    print "  \"creationInfo\": {\"created\": " json(created) ", \"creators\": [\"Tool: sandstore-scripts-sbom\"]},"
    print "  \"documentDescribes\": [\"SPDXRef-Image\"],"
    print "  \"packages\": [\n    {"
    print "      \"SPDXID\": \"SPDXRef-Image\",\n      \"name\": \"sandstore\",\n      \"versionInfo\": " json(version) ","
    print "      \"downloadLocation\": \"NOASSERTION\",\n      \"filesAnalyzed\": false,"
    print "      \"primaryPackagePurpose\": \"CONTAINER\","
    print "      \"sourceInfo\": " json("commit " commit (options ? ", built with " options : "")) ","
    print "      \"licenseConcluded\": \"NOASSERTION\",\n      \"licenseDeclared\": \"MIT\","
    print "      \"copyrightText\": \"NOASSERTION\"\n    }" packages "\n  ],"
    print "  \"files\": [\n" files "\n  ],"
    print "  \"relationships\": ["
    print "    {\"spdxElementId\": \"SPDXRef-DOCUMENT\", \"relationshipType\": \"DESCRIBES\", \"relatedSpdxElement\":" \
        " \"SPDXRef-Image\"},"
    print relations "\n  ]\n}"
}

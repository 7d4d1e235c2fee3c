"""What SPDX 2.3 asks of a document in JSON, as far as scripts/sbom has to do with it: what is mandatory is there, has
the right form, and every relationship leads from something to something."""
import re

IDENTIFIER = r"SPDXRef-[A-Za-z0-9.-]+"
KINDS = {"DESCRIBES", "CONTAINS", "STATIC_LINK"}
LICENSES = {"MIT", "BSD-3-Clause", "curl", "Zlib", "LGPL-2.1-or-later", "GPL-3.0-or-later WITH GCC-exception-3.1",
            "GPL-2.0-only WITH Linux-syscall-note"}


def faults(document):
    """One sentence for each thing that is wrong."""
    found = []

    def check(holds, sentence):
        if not holds:
            found.append(sentence)

    check(document.get("spdxVersion") == "SPDX-2.3", "spdxVersion is not SPDX-2.3")
    check(document.get("dataLicense") == "CC0-1.0", "dataLicense is not CC0-1.0")
    check(document.get("SPDXID") == "SPDXRef-DOCUMENT", "SPDXID is not SPDXRef-DOCUMENT")
    check(document.get("name"), "no name")
    check(re.fullmatch(r"[a-z]+:[^#\s]+", document.get("documentNamespace", "")), "documentNamespace is no URI")
    creation = document.get("creationInfo", {})
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", creation.get("created", "")), "created is no UTC time")
    check(creation.get("creators") and all(re.match(r"(Tool|Person|Organization): \S", creator)
                                           for creator in creation["creators"]), "no creator of a known kind")
    known = ["SPDXRef-DOCUMENT"]
    for package in document.get("packages", []):
        name = package.get("name", "a package without a name")
        known.append(package.get("SPDXID", ""))
        check(package.get("versionInfo"), f"{name}: no version")
        check(package.get("downloadLocation"), f"{name}: no downloadLocation")
        check(package.get("filesAnalyzed") is False, f"{name}: filesAnalyzed would need a verification code")
        check(package.get("licenseDeclared") in LICENSES, f"{name}: licence {package.get('licenseDeclared')}")
        for reference in package.get("externalRefs", []):
            check(re.fullmatch(r"pkg:deb/debian/[^@\s:+]+@[^?\s:+]+\?arch=\w+&distro=debian-12",
                               reference.get("referenceLocator", "")), f"{name}: not a package URL: {reference}")
    for file in document.get("files", []):
        name = file.get("fileName", "")
        known.append(file.get("SPDXID", ""))
        check(name.startswith("./"), f"{name}: file names are relative")
        digests = {each["algorithm"]: each["checksumValue"] for each in file.get("checksums", [])}
        check(re.fullmatch(r"[0-9a-f]{40}", digests.get("SHA1", "")), f"{name}: no SHA1, which is mandatory")
        check(re.fullmatch(r"[0-9a-f]{64}", digests.get("SHA256", "")), f"{name}: no SHA256")
    for identifier in known:
        check(re.fullmatch(IDENTIFIER, identifier), f"not an identifier: {identifier!r}")
    check(len(set(known)) == len(known), "an identifier is used twice")
    linked = set()
    for relation in document.get("relationships", []):
        ends = relation["spdxElementId"], relation["relatedSpdxElement"]
        check(set(ends) <= set(known), f"a relationship leads nowhere: {ends}")
        check(relation["relationshipType"] in KINDS, f"unknown kind of relationship: {relation['relationshipType']}")
        linked.update(ends)
    check(set(known) <= linked, f"related to nothing: {sorted(set(known) - linked)}")
    check(any(relation["relationshipType"] == "DESCRIBES" for relation in document.get("relationships", [])),
          "the document describes nothing")
    return found

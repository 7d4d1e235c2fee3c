# The work of scripts/build-profile: TABLE MODE ALSO [NAME=VALUE...]. Plain POSIX awk.

# --- The table --------------------------------------------------------------------------------------------------------

# What is left of the line behind `words` words.
function rest(line, words) {
    while (words-- > 0) sub(/^[^ ]+ */, "", line)
    return line
}

function read_line(line,    word, count, at) {
    count = split(line, word, " ")
    if (word[1] == "option") {
        options[++option_count] = word[2]
        is_option[word[2]] = 1
        sentence[word[2]] = rest(line, 2)
    } else if (word[1] == "value") {
        values[++value_count] = word[2]
        sentence[word[2]] = rest(line, 2)
    } else if (word[1] == "profile") {
        profiles[++profile_count] = word[2]
        for (at = 1; at <= option_count; at++) module_of[word[2], options[at]] = word[2 + at]
        sentence["PROFILE=" word[2]] = rest(line, 2 + option_count)
        values[++value_count] = "PROFILE=" word[2]
    } else if (word[1] == "needs" || word[1] == "conflict" || word[1] == "adds") {
        rules[++rule_count] = word[1]
        first[rule_count] = word[2]
        second[rule_count] = word[3]
        reason[rule_count] = rest(line, 3)
    } else if (word[1] == "part") {
        parts[++part_count] = word[2]
        sentence[word[2]] = rest(line, 2)
    } else if (word[1] == "instead") {
        meant[word[2]] = word[3]
        reason[word[2]] = rest(line, 3)
    } else {
        fail("profiles.txt: a line that begins with \"" word[1] "\"")
    }
}

function read_table(file,    line) {
    while ((getline line < file) > 0) {
        if (line !~ /^(#|$)/) read_line(line)
    }
    close(file)
    if (option_count == 0) {
        fail("cannot read " file)
        finish()
    }
}

# --- Words ------------------------------------------------------------------------------------------------------------

function fail(what) {
    print "build-profile: " what > "/dev/stderr"
    failures++
}

function finish() {
    exit failures > 0 ? 2 : 0
}

function name_of(choice) {
    return substr(choice, 1, index(choice, "=") - 1)
}

function value_of(choice) {
    return substr(choice, index(choice, "=") + 1)
}

# The values of an option, or the profiles.
function allowed(name,    at, text) {
    for (at = 1; at <= value_count; at++) {
        if (name_of(values[at]) == name) text = text (text == "" ? "" : ", ") value_of(values[at])
    }
    return text
}

function smallest(a, b, c) {
    if (b < a) a = b
    return c < a ? c : a
}

# Optimal string alignment: insert, delete, change, swap of neighbours; upper and lower case are alike.
function distance(a, b,    i, j, same, cost) {
    a = tolower(a)
    b = tolower(b)
    for (i = 0; i <= length(a); i++) cost[i, 0] = i
    for (j = 0; j <= length(b); j++) cost[0, j] = j
    for (i = 1; i <= length(a); i++) {
        for (j = 1; j <= length(b); j++) {
            same = substr(a, i, 1) == substr(b, j, 1)
            cost[i, j] = smallest(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + 1 - same)
            if (i > 1 && j > 1 && substr(a, i, 1) == substr(b, j - 1, 1) && substr(a, i - 1, 1) == substr(b, j, 1))
                cost[i, j] = smallest(cost[i, j], cost[i - 2, j - 2] + 1, cost[i, j])
        }
    }
    return cost[length(a), length(b)]
}

# "Did you mean http (why)?" Of an option's few values the nearest is always worth naming.
function suggested_value(name, word,    at, best, least, candidate, away) {
    word = substr(word, 1, 64)
    least = 1000
    for (at = 1; at <= value_count; at++) {
        if (name_of(values[at]) == name && (away = distance(word, value_of(values[at]))) < least) {
            least = away
            best = value_of(values[at])
        }
    }
    candidate = ""
    for (at in meant) {
        if (name_of(at) != name || distance(word, value_of(at)) > nearness(word)) continue
        away = distance(word, value_of(at))
        if (away < least || (away == least && candidate != "" && at < candidate)) {
            least = away
            candidate = at
        }
    }
    if (candidate == "") return "Did you mean " best "?"
    return "Did you mean " meant[candidate] " (" reason[candidate] ")?"
}

# How many letters of a word may be wrong.
function nearness(word) {
    return length(word) < 6 ? 2 : 3
}

# Empty when nothing is near.
function suggested_name(word, names,    list, count, at, best, least, away) {
    least = nearness(word) + 1
    count = split(names, list, " ")
    for (at = 1; at <= count; at++) {
        away = distance(substr(word, 1, 64), list[at])
        if (away < least) {
            least = away
            best = list[at]
        }
    }
    return best
}

function all_names(separator,    at, text) {
    text = "PROFILE"
    for (at = 1; at <= option_count; at++) text = text separator options[at]
    return text
}

# --- The choice -------------------------------------------------------------------------------------------------------

function read_choice(argument, also,    name, near) {
    name = name_of(argument)
    if (name == "") {
        fail("\"" argument "\" is not of the form NAME=VALUE")
        return
    }
    sub(/^SANDSTORE_/, "", name)
    if (index(" " also " ", " " name " ") || index(" " also " ", " SANDSTORE_" name " ")) return
    if (name != "PROFILE" && !(name in is_option)) {
        near = suggested_name(name, all_names(" ") " " also)
        fail(argument ": there is no option " name "." (near == "" ? "" : " Did you mean " near "?") \
             " Allowed: " all_names(", "))
        return
    }
    if (value_of(argument) == "") return
    if (!(name "=" value_of(argument) in sentence)) {
        fail(argument ": there is no such " (name == "PROFILE" ? "profile" : "value") ". " \
             suggested_value(name, value_of(argument)) " Allowed: " allowed(name))
        return
    }
    chosen[name] = value_of(argument)
}

# "REPLICATOR=noop", or "REPLICATOR=noop (of PROFILE=single-node)" when nobody wrote it.
function with_source(choice) {
    return name_of(choice) in chosen ? choice : choice " (of PROFILE=" selected["PROFILE"] ")"
}

function is_selected(choice) {
    return selected[name_of(choice)] == value_of(choice)
}

function remark(what) {
    print what > (mode == "selection" ? "/dev/stderr" : "/dev/stdout")
}

function select_modules(    at, name) {
    selected["PROFILE"] = "PROFILE" in chosen ? chosen["PROFILE"] : profiles[1]
    for (at = 1; at <= option_count; at++) {
        name = options[at]
        selected[name] = name in chosen ? chosen[name] : module_of[selected["PROFILE"], name]
    }
}

function apply_rules(    at, name) {
    for (at = 1; at <= rule_count; at++) {
        name = name_of(second[at])
        if (rules[at] == "needs" && is_selected(first[at]) && !is_selected(second[at])) {
            if (name in chosen) {
                fail(name "=" chosen[name] " with " with_source(first[at]) ": " reason[at] "; " \
                     "it goes with " second[at] " only")
            } else {
                additions[++addition_count] = first[at] " needs " second[at] ": chosen (" reason[at] ")"
                selected[name] = value_of(second[at])
            }
        }
    }
    for (at = 1; at <= rule_count; at++) {
        if (rules[at] == "conflict" && is_selected(first[at]) && is_selected(second[at]))
            fail(with_source(first[at]) " with " with_source(second[at]) ": " reason[at])
        if (rules[at] == "adds" && is_selected(first[at])) {
            additions[++addition_count] = first[at] " needs " sentence[second[at]] ": added (" reason[at] ")"
            brought[second[at]] = 1
        }
    }
}

# "static", or "static with CHUNK_STORE=memory".
function full_name(    at, text, name) {
    for (at = 1; at <= option_count; at++) {
        name = options[at]
        if (selected[name] == module_of[selected["PROFILE"], name]) continue
        text = text (text == "" ? " with " : " ") name "=" selected[name]
    }
    return selected["PROFILE"] text
}

# --- What is printed --------------------------------------------------------------------------------------------------

function print_selection(    at, text) {
    print "PROFILE=" selected["PROFILE"]
    print "BUILD=" full_name()
    for (at = 1; at <= option_count; at++) print options[at] "=" selected[options[at]]
    for (at = 1; at <= part_count; at++) if (parts[at] in brought) text = text (text == "" ? "" : " ") parts[at]
    print "PARTS=" text
}

function report_selection(    at, text) {
    for (at = 1; at <= option_count; at++) text = text " " options[at] "=" selected[options[at]]
    remark("Profile " full_name() ":" text)
    for (at = 1; at <= addition_count; at++) remark("  " additions[at])
}

function print_profiles(    at, option) {
    printf "%-16s", "PROFILE"
    for (option = 1; option <= option_count; option++) printf " %-12s", options[option]
    printf "\n"
    for (at = 1; at <= profile_count; at++) {
        printf "%-16s", profiles[at]
        for (option = 1; option <= option_count; option++) printf " %-12s", module_of[profiles[at], options[option]]
        printf " %s\n", sentence["PROFILE=" profiles[at]]
    }
    printf "\nSingle options go before the profile: make build PROFILE=%s %s\n\n", profiles[3], values[2]
    for (at = 1; at <= value_count; at++) {
        if (name_of(values[at]) != "PROFILE") printf "  %-20s %s\n", values[at], sentence[values[at]]
    }
}

function print_markdown(    at, option) {
    printf "| profile |"
    for (option = 1; option <= option_count; option++) printf " `%s` |", options[option]
    printf " |\n|---|"
    for (option = 1; option <= option_count; option++) printf "---|"
    printf "---|\n"
    for (at = 1; at <= profile_count; at++) {
        printf "| `%s` |", profiles[at]
        for (option = 1; option <= option_count; option++) printf " %s |", module_of[profiles[at], options[option]]
        printf " %s |\n", sentence["PROFILE=" profiles[at]]
    }
    printf "\n| option | value | |\n|---|---|---|\n"
    for (at = 1; at <= value_count; at++) {
        option = name_of(values[at])
        if (option == "PROFILE") continue
        printf "| %s | `%s` | %s |\n", option == last ? "" : "`" option "`: " sentence[option], value_of(values[at]), \
               sentence[values[at]]
        last = option
    }
    printf "\n| rule | reason |\n|---|---|\n"
    for (at = 1; at <= rule_count; at++) {
        if (rules[at] == "conflict") printf "| `%s` never with `%s` | %s |\n", first[at], second[at], reason[at]
        if (rules[at] == "needs") printf "| `%s` needs `%s` | %s |\n", first[at], second[at], reason[at]
        if (rules[at] == "adds") printf "| `%s` brings in `%s` | %s |\n", first[at], second[at], reason[at]
    }
}

BEGIN {
    # mawk leaves "--" in ARGV, others take it away.
    at = ARGV[1] == "--" ? 2 : 1
    read_table(ARGV[at])
    mode = ARGV[at + 1]
    also = ARGV[at + 2]
    if (mode == "names") print all_names(" ")
    if (mode == "values") for (i = 1; i <= value_count; i++) print values[i]
    if (mode == "profiles") print_profiles()
    if (mode == "markdown") print_markdown()
    if (mode != "report" && mode != "selection") finish()
    for (i = at + 3; i < ARGC; i++) read_choice(ARGV[i], also)
    if (failures == 0) {
        select_modules()
        apply_rules()
    }
    if (failures == 0) {
        report_selection()
        if (mode == "selection") print_selection()
    }
    finish()
}

# compare.awk - from `pprof -raw` one line for each sample, the same for equal samples of two files: values, labels
# and the frames of each location, whose numbers depend on the order in a file.
#
# Left out: samples that say nothing (all zero), and goroutines that serve the very question.

/^Samples:/ { part = "samples"; next }
/^Locations/ { part = "locations"; next }
/^Mappings/ { part = ""; next }

part == "samples" && /^ *[0-9 ]+: [0-9 ]*$/ {
    count++
    split($0, halves, ": ")
    values[count] = halves[1]
    stack[count] = halves[2]
    next
}
part == "samples" && /\[/ { labels[count] = labels[count] $0 }

part == "locations" && /^ *[0-9]+: 0x/ {
    current = $1
    sub(":", "", current)
    line = $0
    sub(/^ *[0-9]+: /, "", line)
    frames[current] = line
    next
}
part == "locations" && NF > 0 { frames[current] = frames[current] "|" $0 }

END {
    for (i = 1; i <= count; i++) {
        if (values[i] ~ /^[ 0]*$/)
            continue
        text = values[i] " " labels[i]
        depth = split(stack[i], numbers, " ")
        for (j = 1; j <= depth; j++)
            text = text " ; " frames[numbers[j]]
        if (text !~ /net\/http\.\(\*conn|net\/http\.\(\*Server\)\.Serve |runtime\/pprof|net\/http\.\(\*connReader/)
            print text
    }
}

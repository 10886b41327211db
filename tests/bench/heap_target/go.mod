module heap_target

go 1.19

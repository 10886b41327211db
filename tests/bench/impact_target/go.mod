module impacttarget

go 1.19

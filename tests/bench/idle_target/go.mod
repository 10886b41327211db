module idletarget

go 1.19

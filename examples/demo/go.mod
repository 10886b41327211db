module goprofd.example/demo

go 1.19

module goprofd.example/clients/go

go 1.19

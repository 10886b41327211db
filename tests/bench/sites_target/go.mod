module sitestarget

go 1.19

module extension

go 1.18

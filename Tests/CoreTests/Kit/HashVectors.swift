/// Computed once with an implementation of the documented function in another language (Python integers).
enum HashVectors {
    static let empty = "2b0d05dec0327a02/3bf735749c27ac38"
    static let sixteen = "7f130ae7ae5fa18e/bea53f4a1e09595a"
    static let keel = "a3a3669356f99aa2/5a2d32f065b674b8"
}

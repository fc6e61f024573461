/// Computed once with an implementation of the documented function in another language (Python integers).
enum HashVectors {
    static let empty = "d97189e650eb6eb1/c77fddcf7655d4fb"
    static let sixteen = "946d843cd82355f0/ec7b6df6e8f366bb"
    static let seventy = "b37bd49e2fa2ed7b/209e89e6576000ec"
    static let keel = "43d17df0f28063b9/9d1fc484d4f9cf22"
}

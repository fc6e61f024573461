/// Why bytes could not be read as a library. A hostile file ends here, never in a trap.
public enum ElfError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first four bytes are not the ELF mark.
    case notElf(firstBytes: [UInt8])
    /// Something lies past the end of the file.
    case truncated(what: String, at: UInt64, bytes: UInt64, fileSize: Int)
    /// A number in the file contradicts the format.
    case malformed(what: String)
    /// The tables are larger than any real library's.
    case tooLarge(what: String, limit: Int)
    /// A valid file, but for a class or byte order this reader doesn't open. Its identity still says what it is.
    case foreign(ElfIdentity)

    public var description: String {
        switch self {
        case .notElf(let bytes):
            if bytes.isEmpty { return "the file is empty" }
            let text = bytes.allSatisfy { ($0 >= 32 && $0 < 127) || $0 == 9 || $0 == 10 || $0 == 13 }
            return text ? "it is a text file, not a library" : "it is not an ELF file"
        case .truncated(let what, let at, let bytes, let size):
            return "it is cut short: \(what) needs \(bytes) bytes at offset \(at), the file has \(size)"
        case .malformed(let what): return "it is damaged: \(what)"
        case .tooLarge(let what, let limit): return "\(what) exceed \(limit)"
        case .foreign(let identity): return "it is for another kind of machine: \(identity)"
        }
    }
}

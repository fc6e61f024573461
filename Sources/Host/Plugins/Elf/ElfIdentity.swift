/// The machine a library was built for.
public struct ElfMachine: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let x86 = ElfMachine(rawValue: 3)
    public static let arm = ElfMachine(rawValue: 40)
    public static let x86_64 = ElfMachine(rawValue: 62)
    public static let arm64 = ElfMachine(rawValue: 183)
    public static let riscv = ElfMachine(rawValue: 243)

    /// The machine this host was built for.
    public static var host: ElfMachine {
        #if arch(x86_64)
            .x86_64
        #elseif arch(arm64)
            .arm64
        #elseif arch(riscv64)
            .riscv
        #else
            ElfMachine(rawValue: 0)
        #endif
    }

    public var description: String {
        switch rawValue {
        case 3: "x86 (32-bit)"
        case 8: "MIPS"
        case 20: "PowerPC"
        case 21: "PowerPC 64"
        case 22: "S390"
        case 40: "ARM (32-bit)"
        case 62: "x86-64"
        case 183: "ARM64"
        case 243: "RISC-V"
        case 258: "LoongArch"
        default: "machine number \(rawValue)"
        }
    }
}

/// What kind of file it says it is.
public struct ElfKind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let relocatable = ElfKind(rawValue: 1)
    public static let executable = ElfKind(rawValue: 2)
    /// A shared library (or a position independent program).
    public static let shared = ElfKind(rawValue: 3)
    public static let core = ElfKind(rawValue: 4)

    public var description: String {
        switch rawValue {
        case 1: "object file"
        case 2: "program"
        case 3: "shared library"
        case 4: "core dump"
        default: "type number \(rawValue)"
        }
    }
}

/// The first twenty bytes: enough to say in words what a file is, whatever machine it is for.
public struct ElfIdentity: Hashable, Sendable, CustomStringConvertible {
    /// 32 or 64.
    public let bits: Int
    public let littleEndian: Bool
    public let kind: ElfKind
    public let machine: ElfMachine

    public var description: String {
        "\(kind), \(bits)-bit, \(machine)\(littleEndian ? "" : ", big-endian")"
    }

    public init(bits: Int, littleEndian: Bool, kind: ElfKind, machine: ElfMachine) {
        self.bits = bits
        self.littleEndian = littleEndian
        self.kind = kind
        self.machine = machine
    }

    init(_ bytes: ElfBytes) throws(ElfError) {
        let mark = bytes.prefix(16)
        guard mark.count >= 4, mark[0] == 0x7f, mark[1] == 0x45, mark[2] == 0x4c, mark[3] == 0x46 else {
            throw .notElf(firstBytes: mark)
        }
        guard mark.count == 16 else { throw .truncated(what: "the header", at: 0, bytes: 64, fileSize: bytes.count) }
        switch mark[4] {
        case 1: bits = 32
        case 2: bits = 64
        default: throw .malformed(what: "class \(mark[4]) is neither 32-bit nor 64-bit")
        }
        switch mark[5] {
        case 1: littleEndian = true
        case 2: littleEndian = false
        default: throw .malformed(what: "byte order \(mark[5]) is unknown")
        }
        let kind = try bytes.load(UInt16.self, at: 16, "the header")
        let machine = try bytes.load(UInt16.self, at: 18, "the header")
        self.kind = ElfKind(rawValue: littleEndian ? kind : kind.byteSwapped)
        self.machine = ElfMachine(rawValue: littleEndian ? machine : machine.byteSwapped)
    }
}

import Foundation
import Testing

@testable import HostRun

/// A folder of the test's own, removed when the test is done with it.
final class TemporaryFolder {
    let path: String

    init(_ name: String = "keel") {
        path = NSTemporaryDirectory() + "/\(name)-\(UUID().uuidString)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct ControlTests {
    @Test func answersOverALongPathAndOnlyThisUser() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path + "/" + String(repeating: "x", count: 120))
        try folder.prepare()
        #expect(throws: RunError.notRunning(path: folder.path)) { try ControlClient.ask(ControlRequest(.status), folder: folder) }

        let server = try ControlServer(folder: folder) { input in
            guard case .request(let request, let connection) = input else { return }
            connection.answer(ControlReply(body: Data(request.verb.rawValue.utf8)))
        }
        let reply = try ControlClient.ask(ControlRequest(.status), folder: folder)
        #expect(reply.ok && String(decoding: reply.body, as: UTF8.self) == "status")
        var facts = stat()
        #expect(stat(folder.path + "/" + folder.socketName, &facts) == 0 && facts.st_mode & 0o077 == 0)
        #expect(stat(folder.path, &facts) == 0 && facts.st_mode & 0o077 == 0)
        #expect(server.stop() == -1)
        #expect(throws: RunError.notRunning(path: folder.path)) { try ControlClient.ask(ControlRequest(.status), folder: folder) }
    }

    @Test func nonsenseGetsAnAnswerThatNamesTheVerbs() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path + "/state")
        try folder.prepare()
        let server = try ControlServer(folder: folder) { _ in }
        defer { _ = server.stop() }
        let fd = try #require(try LocalSocket.connect(folder: folder.path, name: folder.socketName))
        defer { close(fd) }
        LocalSocket.writeLine(fd, Data("open the pod bay doors".utf8))
        let line = try #require(LocalSocket.readLine(fd, milliseconds: 5_000))
        let reply = try JSONDecoder().decode(ControlReply.self, from: line)
        #expect(!reply.ok && reply.code == 2)
        #expect(reply.problems.first?.contains("status") == true)
    }

    @Test func theKillSwitchIsAFileAnyoneCanMake() throws {
        let temporary = TemporaryFolder()
        let folder = RunFolder(temporary.path + "/state")
        try folder.prepare()
        let kill = KillSwitch(folder: folder)
        #expect(!kill.isOn)
        try kill.turnOn(reason: "news")
        #expect(kill.isOn && kill.reason == "news")
        try kill.turnOff()
        try kill.turnOff()
        #expect(!kill.isOn)
        #expect(FileManager.default.createFile(atPath: folder.killSwitch, contents: nil))
        #expect(kill.isOn)
    }

    @Test func aReplacedFileIsWholeOrOld() throws {
        let temporary = TemporaryFolder()
        let path = temporary.path + "/file"
        try RunFolder.replace(path, with: Data("one".utf8))
        try RunFolder.replace(path, with: Data("two".utf8))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "two")
        #expect(throws: RunError.self) { try RunFolder.replace(temporary.path + "/missing/file", with: Data()) }
    }
}
